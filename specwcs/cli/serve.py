"""Commands one after the other, each in a fork of a process that has all in memory.

The other end is `specwcs.pipeline.process`.
"""

import importlib
import json
import os
import select
import sys
import tempfile
import threading

__all__ = ["serve"]


def serve():
    """Do the commands that standard input brings, one line of JSON each, until it ends."""
    import asdf

    for layer in ("calibration", "extraction", "report"):
        importlib.import_module(f"specwcs.{layer}")
    asdf.AsdfFile()  # loads the extensions
    for line in sys.stdin:
        order = json.loads(line)
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            child = os.fork()
            if not child:
                _obey(order, out, err)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            said = [_content(file) for file in (out, err)]
        print(json.dumps([status, *said]), flush=True)


def _content(file):
    file.seek(0)
    return file.read().decode(errors="replace")


def _obey(order, out, err):
    """Be the command."""
    status = 1
    try:
        orders = os.dup(0)
        for source, target in ((os.open(os.devnull, os.O_RDONLY), 0), (out.fileno(), 1),
                               (err.fileno(), 2)):  # fmt: skip
            os.dup2(source, target)
        threading.Thread(target=_follow, args=(orders,), daemon=True).start()
        os.environ.clear()
        os.environ.update(order["environment"])
        os.chdir(order["folder"])

        from specwcs.cli import main

        status = int(main(order["argv"]))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _follow(orders):
    """End with whoever gave the order: a killed worker leaves nobody writing behind."""
    end = select.poll()
    end.register(orders, select.POLLHUP)
    while not any(event & select.POLLHUP for _, event in end.poll()):
        pass
    os._exit(1)
