"""Joblib's worker processes: each dies alone, and none outlives the process that started it.

Joblib's own pool kills all its workers when one dies, and a worker that waits for work does not
notice that nobody is left to give it any.
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

_LOOK_EVERY = 0.5
"""Seconds between a worker's looks at its parent."""
_PATIENCE = 20.0
"""Seconds that a worker without a parent gives its job to save and stop."""


class Workers:
    """Worker processes, kept for later tasks; threads may call `do` at once."""

    def __init__(self) -> None:
        self._pools: list[Any] = []
        self._idle: list[Any] = []

    def use(self) -> None:
        """Let joblib do in these workers what it would do in a pool of loky's."""
        _joblib.register_parallel_backend("loky", partial(_Backend, self))

    def do(self, task: Any, env: dict[str, str]) -> list[Any]:
        """Do joblib's task in a worker and return the results of its jobs.

        What a job raises is a result too: joblib would stop the others. If the worker dies, the
        results have no status.
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
        """Kill all workers."""
        for pool in self._pools:
            pool.shutdown(kill_workers=True)

    def _submit(self, task: Any, env: dict[str, str]) -> tuple[Any, Any]:
        """Give a task to a worker that waits, or to a new one."""
        while self._idle:
            # Another thread may take the last one; a worker may have died while it waited.
            with suppress(IndexError, RuntimeError):
                pool = self._idle.pop()
                return pool, pool.submit(_run, task)
        pool = _loky.ProcessPoolExecutor(1, initializer=_begin, initargs=(os.getpid(),), env=env)
        self._pools.append(pool)
        return pool, pool.submit(_run, task)


class _Backend(_Threads):
    """Threads of joblib, each of which waits for a worker."""

    def __init__(self, workers: Workers, **options: Any):
        super().__init__(**options)
        self._workers = workers

    def submit(self, func: Any, callback: Callable[..., object] | None = None) -> Any:
        """Have a task done."""
        env = self._prepare_worker_env(n_jobs=self._n_jobs)
        do: Any = partial(self._workers.do, func, env)
        return super().submit(do, callback)  # pyright: ignore[reportUnknownVariableType]

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Kill the workers, whatever they do."""
        self._workers.kill()
        super().abort_everything(ensure_ready)


_at_work = threading.Event()
"""Whether this process, a worker, does a task now."""


def _begin(parent: int) -> None:
    """Prepare this process to be a worker of the process `parent`."""
    # A terminal sends Ctrl-C to workers as well; those that do a job hear of it from the parent.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    """End this process soon after its parent: a job saves and stops first."""
    while os.getppid() == parent:
        time.sleep(_LOOK_EVERY)
    if _at_work.is_set():
        os.kill(os.getpid(), signal.SIGTERM)
        deadline = time.monotonic() + _PATIENCE
        while _at_work.is_set() and time.monotonic() < deadline:
            time.sleep(_LOOK_EVERY)
    os._exit(1)


def _run(task: Callable[[], Any]) -> Any:
    """Do a task in this process, a worker."""
    _at_work.set()
    try:
        return task()
    finally:
        _at_work.clear()
