"""Commands in forks of a server: each is new, and ends with whoever asked for it."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from specwcs import __version__
from specwcs.pipeline import process

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True, scope="module")
def no_servers():
    process.dismiss()
    yield
    process.dismiss()


def children(pid):
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True)
    return [int(word) for word in found.stdout.split()]


def wait_for(what, seconds=20):
    end = time.monotonic() + seconds
    while not (result := what()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return result


def test_commands_follow_each_other_in_one_server(tmp_path, monkeypatch):
    assert process.run_command(["--version"]) == [0, f"specwcs {__version__}\n", ""]
    (server,) = process._idle
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.mdf").write_text("#ID X\n")
    status, out, err = process.run_command(["info", "here.mdf"])
    assert (status, out) == (2, "")
    assert "here.mdf" in err
    assert process._idle == [server]
    server.kill()
    server.wait()  # another takes its place
    assert process.run_command(["--version"])[0] == 0


@pytest.mark.parametrize("whom", ["command", "server"])
def test_a_command_that_is_killed_is_told(tmp_path, whom):
    process.run_command(["--version"])
    (server,) = process._idle
    order = ["demo", "--out", str(tmp_path / "long")]
    answers = []
    thread = threading.Thread(target=lambda: answers.append(process.run_command(order)))
    thread.start()
    (child,) = wait_for(lambda: children(server.pid))
    os.kill(child if whom == "command" else server.pid, signal.SIGKILL)
    thread.join(20)
    assert answers[0][0] == -signal.SIGKILL


def test_a_command_ends_with_who_asked_for_it(tmp_path):
    code = f"""
from specwcs.pipeline import process
process.run_command(["--version"])
print(process._idle[0].pid, flush=True)
process.run_command(["demo", "--out", {str(tmp_path / "long")!r}])
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as asker:
        server = int(asker.stdout.readline())
        (child,) = wait_for(lambda: children(server))
        asker.kill()
    for pid in (child, server):
        wait_for(lambda pid=pid: not Path(f"/proc/{pid}").exists())
