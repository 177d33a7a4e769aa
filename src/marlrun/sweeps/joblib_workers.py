"""Worker processes for joblib: each dies alone, and none outlives the process that started it.

Joblib's pool kills all its workers when one dies, and a worker that waits for a task does not
notice the death of the process that would give it one.
"""

# pyright: reportMissingTypeStubs=false

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from joblib import parallel
from joblib.externals import loky

# Joblib brings no types.
_joblib: Any = parallel
_loky: Any = loky
_Threads: Any = _joblib.ThreadingBackend

_CHECK_EVERY = 0.5
"""Seconds between two checks of a worker that its parent lives."""
_PATIENCE = 20.0
"""Seconds that a job has to save and stop after the death of its worker's parent."""


class Workers:
    """Worker processes, kept for later tasks; several threads may call `do` at the same time."""

    def __init__(self) -> None:
        self._pools: list[Any] = []
        self._idle: list[Any] = []

    def use(self) -> None:
        """Let joblib use these workers in the place of its pool, which is named loky."""
        _joblib.register_parallel_backend("loky", partial(_Backend, self))

    def do(self, task: Any, env: dict[str, str]) -> list[Any]:
        """Do a task of joblib's, a batch of jobs, in a worker; return the results of the jobs.

        An exception of a job becomes a result, for joblib would stop the other jobs. If the worker
        dies, the results have no status.
        """
        pool, future = self._submit(task, env)
        try:
            return future.result()
        except _loky.BrokenProcessPool:
            return [JobReturn() for _ in range(len(task))]
        except BaseException as error:
            failure = partial(JobReturn, status=JobStatus.FAILED, _return_value=error)
            return [failure() for _ in range(len(task))]
        finally:
            self._idle.append(pool)

    def kill(self) -> None:
        """Kill all workers at once."""
        for pool in self._pools:
            pool.shutdown(kill_workers=True)

    def _submit(self, task: Any, env: dict[str, str]) -> tuple[Any, Any]:
        """Give a task to an idle worker, or to a new one; return the pool of that worker alone."""
        while self._idle:
            # Another thread may take the last pool; an idle worker may have died.
            with suppress(IndexError, RuntimeError):
                pool = self._idle.pop()
                return pool, pool.submit(_run, task)
        pool = _loky.ProcessPoolExecutor(1, initializer=_begin, initargs=(os.getpid(),), env=env)
        self._pools.append(pool)
        return pool, pool.submit(_run, task)


class _Backend(_Threads):
    """Threads of joblib, each of which waits for a task that a worker does."""

    def __init__(self, workers: Workers, **options: Any):
        super().__init__(**options)
        self._workers = workers

    def submit(self, func: Any, callback: Callable[..., object] | None = None) -> Any:
        """Let a thread give a task to a worker and wait for it."""
        env = self._prepare_worker_env(n_jobs=self._n_jobs)
        do: Any = partial(self._workers.do, func, env)
        return super().submit(do, callback)  # pyright: ignore[reportUnknownVariableType]

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Kill the workers, whatever they are doing."""
        self._workers.kill()
        super().abort_everything(ensure_ready)


_at_work = threading.Event()
"""This is set while this process, a worker, does a task."""


def _begin(parent: int) -> None:
    """Prepare this process to be a worker of the process `parent`."""
    # A terminal sends Ctrl-C to workers too; the parent passes it on to those that do a job.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    """End this process soon after its parent, once its job has saved and stopped."""
    while os.getppid() == parent:
        time.sleep(_CHECK_EVERY)
    if _at_work.is_set():
        os.kill(os.getpid(), signal.SIGTERM)
        deadline = time.monotonic() + _PATIENCE
        while _at_work.is_set() and time.monotonic() < deadline:
            time.sleep(_CHECK_EVERY)
    os._exit(1)


def _run(task: Callable[[], Any]) -> Any:
    """Do a task in this process, a worker."""
    _at_work.set()
    try:
        return task()
    finally:
        _at_work.clear()
