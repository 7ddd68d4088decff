"""Programs that JAX compiles: kept on disk for the next start of a command, announced as they are made."""

import hashlib
import os
import platform
import sys
import uuid
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from threading import Timer

from starloom import places

PATIENCE = 1.0  # s that a program may take to come from the disk
WRITER = "jax._src.lru_cache"  # JAX's module that reads and writes the folder
# of JAX, as it asks for a program and as it finds one
ASKED, FOUND = "/jax/compilation_cache/compile_requests_use_cache", "/jax/compilation_cache/cache_hits"


def folder() -> Path:
    """Where programs for this kind of processor are kept: another one might not know their instructions."""
    kind = hashlib.sha256(_processor().encode()).hexdigest()[:12]
    return places.cache_folder() / f"compiled-{kind}"


def _processor() -> str:
    """What the processor is and can do, as far as the system tells it."""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        told = {line for line in lines if line.startswith(("model name", "flags", "Features"))}
        return "\n".join(sorted(told))
    return f"{platform.machine()} {platform.processor()} {platform.node()}"


def keep() -> None:
    """Have JAX keep what it compiles, until this process and those it starts end.

    Nothing is done before JAX is imported, which many commands never do. A user's own
    ``JAX_COMPILATION_CACHE_DIR`` stays; where no folder can be made, nothing is kept. A program is written
    whole or not at all.
    """
    forget()
    sys.meta_path = [_BeforeJax(), _WholeFiles(), *sys.meta_path]


def forget() -> None:
    """Undo ``keep``, if JAX was not imported since."""
    _done(_BeforeJax, _WholeFiles)


def prepare() -> None:
    """Do now what ``keep`` has put off: for processes that are started, and import JAX themselves."""
    if any(isinstance(finder, _BeforeJax) for finder in sys.meta_path):
        _done(_BeforeJax)
        _set_folder()


def _done(*kinds: type) -> None:
    # a new list, for an import may be going through the old one
    sys.meta_path = [finder for finder in sys.meta_path if not isinstance(finder, kinds)]


class _BeforeJax:
    """Prepares the folder when JAX is looked for, and finds nothing itself."""

    def find_spec(self, name: str, *_) -> None:
        if name == "jax":
            prepare()


class _WholeFiles:
    """Replaces how JAX writes a program, as soon as the module that does is looked for.

    JAX writes in place: a full disk leaves a part, which every later start finds, tells and never replaces,
    and another process may read what is not yet whole.
    """

    def find_spec(self, name: str, *_):
        if name != WRITER:
            return None
        _done(_WholeFiles)
        found = find_spec(name)  # by the other finders
        execute = found.loader.exec_module

        def execute_and_replace(module) -> None:
            execute(module)
            module.LRUCache.put = _writing_whole(module.LRUCache.put)

        found.loader.exec_module = execute_and_replace
        return found


def _writing_whole(put):
    """``LRUCache.put``, but for caches that a user has limited: those hold locks of their own."""

    def put_whole(cache, key: str, value: bytes) -> None:
        if cache.eviction_enabled:
            put(cache, key, value)
            return
        path = Path(cache.path) / f"{key}-cache"
        temporary = path.with_name(f".{uuid.uuid4().hex}")
        with suppress(OSError):  # what cannot be kept is compiled again
            try:
                temporary.write_bytes(value)
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)

    return put_whole


def _set_folder() -> None:
    with suppress(OSError, RuntimeError):  # RuntimeError: a user without a home
        place = folder()
        place.mkdir(parents=True, exist_ok=True)
        if os.access(place, os.W_OK):
            os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(place))
            os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")


def announce() -> None:
    """Say in the terminal, once, that a program is being compiled, as soon as one is. Loads JAX."""
    if not sys.stderr.isatty():
        return

    import jax

    if not jax.config.jax_compilation_cache_dir:
        print("compiling", file=sys.stderr)
        return
    waiting: list[Timer] = []

    def said() -> None:
        jax.monitoring.unregister_event_listener(listen)
        print("compiling; the next start on this computer finds it done", file=sys.stderr)

    def listen(event: str, **_) -> None:
        if event in (ASKED, FOUND):
            while waiting:
                waiting.pop().cancel()
        if event == ASKED:
            waiting.append(Timer(PATIENCE, said))
            waiting[0].daemon = True
            waiting[0].start()

    jax.monitoring.register_event_listener(listen)
