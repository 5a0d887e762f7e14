"""Doing one task, in a process of its own, unless it is done already."""

import hashlib
import json
import threading
import time
from importlib import metadata
from pathlib import Path

from specwcs.errors import InputError
from specwcs.files import atomic_path

from .process import run_command

__all__ = ["Record", "perform", "write_record"]

_STATUSES = {0: "good", 2: "wrong input", 3: "some slits failed"}
_DONE = (0, 3)
_CHUNK = 2**22  # bytes
_PACKAGES = ("specwcs", "astropy", "numpy", "scipy")


class Record(dict):
    """What is known of a task that was done.

    Keys: ``name``, ``kind``, ``status`` (of the command), ``state`` (in words), ``error``,
    ``facts``, ``outputs`` (files and their checksums), ``seconds``, and ``repeated``, whether it
    was done this time.
    """

    @property
    def done(self):
        """Whether there are results."""
        return self["status"] in _DONE


def perform(task, folder, before=None):
    """Do a task, if what it was made of has changed since it was done last.

    Parameters
    ----------
    task : Task
    folder : Path
        Of the records: one file a task, with the checksums of what it read and wrote.
    before : Record, optional
        Of the task that makes one of its inputs.

    Returns
    -------
    Record
        It never raises for what a command complains of: ``error`` has it.
    """
    path = Path(folder) / f"{task.name.replace(' ', '_')}.json"
    if before is not None and not before.done:
        why = f"not done: {before['name']} failed ({before['error']})"
        return Record(_record(task, None, 2, why, {}, {}, 0.0, repeated=True))
    key = _key(task)
    old = _read(path)
    if key is not None and old.get("key") == key and old.get("status") in _DONE and _whole(old):
        return Record(old | {"repeated": False})
    start = time.monotonic()
    status, facts, error = _run([*task.argv, "--json", "--overwrite"])
    if status in _DONE:
        error = "; ".join(f"slit {k}: {v}" for k, v in _failed(facts).items())
    outputs = {str(file): _checksum(Path(file)) for file in _files(facts)}
    record = _record(
        task, key, status, error, facts, outputs, time.monotonic() - start, repeated=True
    )
    write_record(path, record)
    return Record(record)


def write_record(path, record):
    """Keep what became of a task, as JSON; an older record is replaced."""
    with atomic_path(path, overwrite=True) as temporary:
        temporary.write_text(json.dumps(record, indent=1), encoding="utf-8")


def _record(task, key, status, error, facts, outputs, seconds, *, repeated):
    state = _STATUSES.get(status, "a fault")
    return {
        "name": task.name, "kind": task.kind, "key": key, "argv": list(task.argv),
        "status": status, "state": state, "error": error, "facts": facts, "outputs": outputs,
        "seconds": round(seconds, 2), "repeated": repeated,
    }  # fmt: skip


def _run(argv):
    """Run a command; return status, facts, and the complaint."""
    status, out, err = run_command(argv)
    try:
        facts = json.loads(out)
    except json.JSONDecodeError:
        facts = {}
    if status < 0:
        return 1, facts, f"killed by signal {-status}"
    lines = [line for line in err.strip().splitlines() if "warning:" not in line]
    exposures = facts.get("exposures", {}).values()
    error = facts.get("error") or "; ".join(e["error"] for e in exposures if "error" in e)
    return status, facts, error or (lines[-1] if lines else "")


def _failed(facts):
    """Return the slits that failed, with the reasons."""
    failed = dict(facts.get("failed", {}))
    for exposure in facts.get("exposures", {}).values():
        failed |= exposure.get("failed", {})
    return failed


def _files(facts):
    """Return the files that a command wrote."""
    found = [facts.get("calibration") if "report" in facts else None, facts.get("report")]
    for exposure in facts.get("exposures", {}).values():
        found += [*exposure.get("files", []), exposure.get("picture"), exposure.get("page")]
    return [file for file in found if file]


def _read(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none, or cut off: the task is done again
        return {}


def _whole(record):
    """Whether all that was written is there, as it was written."""
    return bool(record["outputs"]) and all(
        _checksum(Path(file)) == known for file, known in record["outputs"].items()
    )


def _key(task):
    """Return what a result depends on: the command, its files' contents, the programs' versions."""
    versions = [f"{name} {metadata.version(name)}" for name in _PACKAGES]
    contents = {}
    for name in task.inputs:
        if Path(name).is_file():
            contents[name] = _checksum(Path(name))
            if contents[name] is None:
                return None
    return hashlib.sha256(json.dumps([task.argv, contents, versions]).encode()).hexdigest()


_known, _lock = {}, threading.Lock()


def _checksum(path):
    """Return the sha256 of a file; None where it cannot be read. Of one that is the same, once."""
    try:
        facts = path.stat()
        identity = (str(path.absolute()), facts.st_size, facts.st_mtime_ns)
        with _lock:
            if identity in _known:
                return _known[identity]
        digest = hashlib.sha256()
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
    except OSError:
        return None
    with _lock:
        _known[identity] = digest.hexdigest()
    return digest.hexdigest()


def check_folder(folder):
    """Make a folder for records; raise `InputError` where that is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"the folder cannot be made ({error.strerror})", "", "Choose another output",
            file=folder,
        ) from error  # fmt: skip
