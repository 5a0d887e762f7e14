"""Commands in processes of their own that begin at once: forks of one that has all in memory.

A command that starts from nothing imports for seconds what it then uses for one. A server imports
once, and forks for each command: a new process each time, with nothing left of the one before.
"""

import atexit
import json
import os
import select
import subprocess
import sys
import tempfile
import threading

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
    order = {"argv": argv, "folder": os.getcwd(), "environment": os.environ | _ALIKE}  # noqa: PTH109
    try:
        server.stdin.write(json.dumps(order, default=os.fspath) + "\n")
        server.stdin.flush()
        answer = server.stdout.readline()
    except BrokenPipeError:
        answer = ""
    if not answer:
        _end(server)
        return min(server.returncode, -1), "", "its server was ended"
    _idle.append(server)
    return json.loads(answer)


def _server():
    """Return a server that waits, or start one."""
    while True:
        try:
            server = _idle.pop()
        except IndexError:
            return subprocess.Popen(
                [sys.executable, "-c", "from specwcs.pipeline.process import serve; serve()"],
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


def serve():
    """Do the commands that standard input brings, one line of JSON each, until it ends."""
    import asdf

    import specwcs.calibration
    import specwcs.extraction
    import specwcs.report  # noqa: F401

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
