"""Ctrl-C: a command ends with one line and the exit code 130, whatever it was doing.

The main thread gets Python's exception, which removes what is half-written. Three things are not left to it.
Within an import or JAX, compiled code calls Python, and an exception crashes it or is lost: there the process
ends at once. In compiled code, where a compilation can take a minute, none is raised: a thread watches too.
And an interpreter that shuts down while XLA's threads are at work crashes: the process ends without that.
"""

import gc
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from starloom import files

EXIT_CODE = 130  # 128 + SIGINT, as shells have it
PATIENCE = 2.0  # seconds that the main thread has to notice
FRAGILE = ("importlib", "_frozen_importlib", "jax", "jaxlib", "equinox", "optax")

_ending = threading.RLock()
_outlook: Callable[[], str] = str
_said = False


@contextmanager
def outlook(text: Callable[[], str]) -> Iterator[None]:
    """Have an interruption of the block add ``text()``, e.g. how to go on, to its line."""
    global _outlook
    before, _outlook = _outlook, text
    yield
    _outlook = before  # not after an exception: the line is written when it has left the block


@contextmanager
def heeded() -> Iterator[None]:
    """End the process as above if it is interrupted in the block; where SIGINT is ignored, it stays so."""
    default = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not default or threading.current_thread() is not threading.main_thread():
        yield
        return
    noticed = threading.Event()
    told, tell = os.pipe()
    os.set_blocking(tell, False)

    def interrupt(_, frame: FrameType | None) -> None:
        if noticed.is_set() or _fragile(frame):  # a second time: at once
            end()
        noticed.set()
        raise KeyboardInterrupt

    def watch() -> None:
        while byte := os.read(told, 1):
            if byte[0] == signal.SIGINT and not noticed.wait(PATIENCE):
                end()
        os.close(told)

    signal.signal(signal.SIGINT, interrupt)
    wakeup, unraisable = signal.set_wakeup_fd(tell), sys.unraisablehook
    sys.unraisablehook = lambda what: end() if what.exc_type is KeyboardInterrupt else unraisable(what)
    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    except KeyboardInterrupt as stop:
        _let_go(stop)
    except SystemExit as stop:  # typer's own way
        if not (noticed.is_set() and stop.code == EXIT_CODE):
            raise
        _let_go(stop)
    else:
        return
    finally:
        signal.set_wakeup_fd(wakeup)
        os.close(tell)
        sys.unraisablehook = unraisable
        if not noticed.is_set():
            signal.signal(signal.SIGINT, signal.default_int_handler)
    end()


def _fragile(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] in FRAGILE:
            return True
        frame = frame.f_back
    return False


def _let_go(error: BaseException | None) -> None:
    """Free what the interrupted functions held: of a pool of processes, semaphores that the system keeps."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__context__
    gc.collect()


def end() -> None:
    """Stop the children, remove what is half-written, say so and end, without the interpreter's shutdown."""
    global _said
    with _ending, suppress(OSError, ValueError, RuntimeError):
        if "multiprocessing" in sys.modules:
            for child in sys.modules["multiprocessing"].active_children():
                child.kill()
        files.abandon()
        if not _said:
            _said = True
            text = _outlook()
            # not by print, which may have been interrupted
            os.write(2, f"starloom: stopped{text and '; '}{text}\n".encode())
        sys.stdout.flush()
    os._exit(EXIT_CODE)
