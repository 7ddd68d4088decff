"""Ways to have many chunks made: here, by processes of this machine, or by a dask cluster.

Each takes a function and its tasks and yields the results as they come, in any order. The function is sent by
name and its results come back as values, so that only the caller writes files.
"""

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from itertools import islice
from multiprocessing import active_children, get_context, parent_process
from threading import Thread

from starloom import compilation
from starloom.errors import ConfigError, StoreError

Engine = Callable[[Callable, Iterable], Iterator]
PER_WORKER = 2  # tasks handed out at once, so that no worker waits for its next one


def here(function: Callable, tasks: Iterable) -> Iterator:
    """One task after the other in this process, where JAX uses all cores or the GPU."""
    return map(function, tasks)


def processes(count: int) -> Engine:
    """``count`` processes on this machine, each with its share of the cores.

    ``ConfigError`` for a ``count`` below 1.
    """
    if count < 1:
        raise ConfigError(f"workers = {count} is below 1")
    return here if count == 1 else partial(_in_processes, count)


def dask(address: str) -> Engine:
    """The ``dask.distributed`` cluster at ``address``, whose workers need starloom but not the store."""
    return partial(_on_dask, address)


def _in_processes(count: int, function: Callable, tasks: Iterable) -> Iterator:
    waiting, others = iter(tasks), set(active_children())
    compilation.prepare()  # which is told to them by the environment
    running: set[Future] = set()
    with _one_share_each(count):
        # a fork would copy JAX's threads in an unknown state
        pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_begin)

        def submitted(number: int) -> set[Future]:
            with _deaf():
                return {pool.submit(function, task) for task in islice(waiting, number)}

        try:
            running = submitted(PER_WORKER * count)
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                running |= submitted(len(done))
                for future in done:
                    yield future.result()
        except BrokenProcessPool as error:
            raise StoreError("a worker process was killed (out of memory?): use fewer workers") from error
        finally:
            if running:  # stopped: nobody waits for what they are at
                for worker in set(active_children()) - others:
                    worker.kill()
            pool.shutdown(cancel_futures=True)


@contextmanager
def _deaf() -> Iterator[None]:
    """Have the processes that start inherit a blocked SIGINT: Ctrl-C is for this one, which stops them."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin() -> None:
    """What a worker does before its tasks."""
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        compilation.keep()
    _end_with_parent()


def _end_with_parent() -> None:
    """Have a worker end when the process that started it was killed, since nothing else would tell it."""

    def watch() -> None:
        parent_process().join()
        os._exit(1)

    Thread(target=watch, daemon=True).start()


@contextmanager
def _one_share_each(count: int) -> Iterator[None]:
    """While workers start, tell the libraries they load to use one share of the cores each."""
    threads = str(max(1, (os.cpu_count() or 1) // count))
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC", "PJRT_NPROC")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, threads))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _on_dask(address: str, function: Callable, tasks: Iterable) -> Iterator:
    from distributed import Client, as_completed  # here, since dask comes with an extra

    try:
        client = Client(address, timeout="20s")
    except (OSError, ValueError) as error:
        raise ConfigError(f"dask = {address}: no scheduler answers there ({error})") from error
    with client:
        waiting = iter(tasks)
        ahead = PER_WORKER * max(1, sum(client.nthreads().values()))
        submit = partial(client.submit, function, pure=False)
        running = as_completed([submit(task) for task in islice(waiting, ahead)])
        for future in running:
            for task in islice(waiting, 1):
                running.add(submit(task))
            yield future.result()
            future.release()
