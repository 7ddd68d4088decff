"""Folders and files that one process at a time works on."""

import json
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import gethostname
from threading import Event, Thread

from starloom.errors import StoreError
from starloom.files import unfinished

BEAT, SILENCE = 30.0, 600.0  # seconds


@contextmanager
def locked(path: str | os.PathLike) -> Iterator[None]:
    """Keep other processes from ``path``, a folder that exists or a file, while the block runs.

    The lock is a file ``.lock`` in the folder, ``.NAME.lock`` beside the file, which says who has it and is
    touched every ``BEAT`` seconds. It is void where its process has ended, seen from the same computer, or
    where it was not touched for ``SILENCE`` seconds, seen from another. Raises ``StoreError`` with host,
    process and time where somebody has it.
    """
    path = Path(path)
    lock = path / ".lock" if path.is_dir() else path.with_name(f".{path.name}.lock")
    owner = {"host": gethostname(), "process": os.getpid(), "began": _began(os.getpid())}
    mine, ended = json.dumps({**owner, "key": uuid.uuid4().hex}), Event()
    try:  # an interruption may come as soon as the lock is there
        _acquire(lock, mine, path)
        unfinished.add(lock)
        Thread(target=_beat, args=(lock, ended), daemon=True).start()
        yield
    finally:
        ended.set()
        unfinished.discard(lock)
        if _content(lock) == mine:
            lock.unlink(missing_ok=True)


def _acquire(lock: Path, mine: str, path: Path) -> None:
    while True:
        try:
            with lock.open("x", encoding="utf-8") as stream:
                stream.write(mine)
            return
        except FileExistsError:
            found = _content(lock)
        if found is None:
            continue  # it was given back in between
        if owner := _owner(lock, found):
            raise StoreError(f"{path}: in use by {owner}: wait for it, or remove {lock} if that is untrue")
        aside = lock.with_name(f"{lock.name}-{uuid.uuid4().hex}")
        with suppress(FileNotFoundError):  # another has taken the void lock away
            lock.rename(aside)
            if _content(aside) == found:
                aside.unlink()
            else:  # another has taken it over already: it keeps it
                aside.rename(lock)


def _owner(lock: Path, found: str) -> str:
    """Who has a lock, empty where it is void."""
    try:
        touched = lock.stat().st_mtime
    except FileNotFoundError:
        return ""
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(touched))
    silent = time.time() - touched
    try:
        values = json.loads(found)
        host, process, began = (values[name] for name in ("host", "process", "began"))
    except (ValueError, KeyError, TypeError):  # being written, or cut short by a full disk
        return f"a process that began at {since}" if silent < SILENCE else ""
    here = host == gethostname() and os.name == "posix"
    alive = _runs(process, began) if here else silent < SILENCE
    return f"process {process} on {host}, last seen at {since}" if alive else ""


def _runs(process: int, began: str) -> bool:
    """Whether a process of this computer runs, and is not another one that got its number."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return not began or _began(process) in (began, "")


def _began(process: int) -> str:
    """When a process began, in the system's ticks; empty where the system does not tell."""
    try:
        # after the name in brackets, which may hold anything: field 22 of proc(5)
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _content(lock: Path) -> str | None:
    try:
        return lock.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def _beat(lock: Path, ended: Event) -> None:
    while not ended.wait(BEAT):
        with suppress(OSError):
            os.utime(lock)
