"""The door from a model to its file, for people at a prompt."""

__all__ = ["Stored"]


class Stored:
    """Gives a model its ``writeto`` and ``read``; `specwcs.files` does the work."""

    def writeto(self, path, overwrite=False):
        """Write the model to an ASDF file, whole or not at all.

        Parameters
        ----------
        path : str or path-like
            By custom ``.opt``, ``.crv`` or ``.ids``.
        overwrite : bool, optional
            Whether an existing file may be replaced.

        Raises
        ------
        InputError
            If the file exists or cannot be written, or a coefficient is not finite.
        """
        from specwcs import files

        files.write_asdf(path, {"model": self}, overwrite=overwrite)

    @classmethod
    def read(cls, path):
        """Read a model of this class that `writeto` wrote.

        Raises
        ------
        InputError
            If the file is damaged, or holds something else.
        """
        from specwcs import files

        return files.read_asdf(path, cls)
