"""Commands in processes of their own that begin at once: forks of one that has all in memory.

A command that starts from nothing imports for seconds what it then uses for one. A server
(`specwcs.cli.serve`) imports once, and forks for each command: a new process each time, with
nothing left of the one before.
"""

import atexit
import json
import os
import subprocess
import sys
from pathlib import Path

__all__ = ["dismiss", "run_command"]

# One thread and one order of sets: the same results, bit by bit, wherever it is done.
_ALIKE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
_idle = []


def run_command(argv):
    """Run ``specwcs`` with these arguments.

    Parameters
    ----------
    argv : list of str

    Returns
    -------
    status : int
        Minus the number of the signal where one ended it.
    out, err : str
    """
    server = _server()
    order = {"argv": argv, "folder": str(Path.cwd()), "environment": os.environ | _ALIKE}
    try:
        server.stdin.write(json.dumps(order, default=os.fspath) + "\n")
        server.stdin.flush()
        answer = server.stdout.readline()
    except BrokenPipeError:
        answer = ""
    if not answer:
        _end(server)
        return server.returncode or 1, "", "its server ended"
    _idle.append(server)
    return json.loads(answer)


def _server():
    """Return a server that waits, or start one."""
    while True:
        try:
            server = _idle.pop()
        except IndexError:
            return subprocess.Popen(
                [sys.executable, "-c", "from specwcs.cli.serve import serve; serve()"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                env=os.environ | _ALIKE,
            )  # fmt: skip
        if server.poll() is None:
            return server
        _end(server)


def dismiss():
    """End the servers that wait."""
    while _idle:
        _end(_idle.pop())


atexit.register(dismiss)


def _end(server):
    server.stdin.close()
    server.stdout.close()
    server.wait()
