"""The instruments, masks and line catalogues that come with specwcs, as data files."""
