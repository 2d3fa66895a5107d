"""Cells side by side: on all cores through joblib, on a cluster through its Dask backend."""

from __future__ import annotations

import importlib
import os
import site
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from .cells import Outcome, Task, work

THREADS = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def optional(name: str, extra: str) -> Any:
    """An optional package; SystemExit with the command that installs it where it is absent."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise SystemExit(f"this needs {name}: pip install 'tinygrad_edu[{extra}]'") from None


def compute(tasks: Sequence[Task], jobs: int, dask: str | None = None) -> Iterator[Outcome]:
    """The outcome of every task, in the order in which they finish.

    jobs: worker processes.  dask: "local", "local:4" (a cluster of so many workers on this machine) or the address of
    a scheduler; its workers need the same folders (a shared file system).
    A cell that fails is an outcome like another.  Raises SystemExit when a whole worker is lost.
    """
    if dask is None and (jobs == 1 or len(tasks) == 1):
        yield from map(work, tasks)
        return
    joblib = optional("joblib", "coursework")
    with ExitStack() as stack:
        stack.enter_context(_one_thread_each())
        if dask is None:
            # loky's workers get the environment from here, before they load NumPy or Numba
            stack.enter_context(joblib.parallel_config(backend="loky", n_jobs=jobs, inner_max_num_threads=1))
        else:
            stack.enter_context(_cluster(dask))
            stack.enter_context(joblib.parallel_config(backend="dask"))
        lost = (importlib.import_module("joblib.externals.loky.process_executor").TerminatedWorkerError,)
        try:
            yield from joblib.Parallel(return_as="generator_unordered", batch_size=1, pre_dispatch="all")(
                joblib.delayed(work)(task) for task in tasks
            )
        except lost as error:
            raise SystemExit(
                f"a worker was lost (out of memory, or killed): {error}\nFinished cells are kept: run the same command "
                "again, with fewer --jobs if memory is short"
            ) from None


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """One thread per worker process, by the environment that it inherits."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _cluster(address: str) -> Iterator[None]:
    """A Dask client: of the scheduler at an address, or of a cluster of processes made here."""
    distributed = optional("distributed", "cluster")
    folder = str(Path(__file__).resolve().parents[1])  # workers import `running` from here
    with ExitStack() as stack:
        if address.split(":")[0] == "local":
            workers = int(address.partition(":")[2] or os.cpu_count() or 1)
            settings = {"n_workers": workers, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
            target: Any = stack.enter_context(distributed.LocalCluster(**settings))
        else:
            target = address
        try:
            client = stack.enter_context(distributed.Client(target, timeout="20s"))
        except (OSError, ValueError) as error:
            raise SystemExit(f"--dask: no scheduler answers at {address}: {error}") from None
        client.register_worker_callbacks(setup=partial(site.addsitedir, folder))
        yield


class Progress:
    """One line per finished cell, with the time that is left, told from the cells so far."""

    def __init__(self, total: int, workers: int, show: Callable[[dict[str, Any]], str]) -> None:
        self.total, self.workers, self.show = total, workers, show
        self.done, self.started = 0, time.perf_counter()

    def __call__(self, outcome: Outcome) -> None:
        """Report one outcome."""
        self.done += 1
        elapsed = time.perf_counter() - self.started
        left = elapsed / self.done * (self.total - self.done)
        if outcome.cell is None:
            text = "FAILED: " + outcome.error.strip().splitlines()[-1]
        else:
            text = f"{self.show(outcome.cell)} ({outcome.cell['seconds']:.1f} s)"
        rest = f", about {spoken(left)} left" if self.done < self.total else f", {spoken(elapsed)} in all"
        print(f"[{self.done}/{self.total}] {outcome.task}: {text}{rest}", flush=True)
        sys.stdout.flush()


def spoken(seconds: float) -> str:
    """A duration for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"
