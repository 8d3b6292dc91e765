"""Run sessions in supervised subprocesses, several in parallel; none can crash or block others."""

import multiprocessing
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Protocol

from bids_stroke.compute import isolated
from bids_stroke.settings import Settings

from . import resources
from .messages import Message, Result

#: Memory per session: twice the peak at 0.7 mm (docs/performance.md), since large tiles and single
#: precision need more.
SESSION_MB = 4000
#: Environment of the fork server and of the subprocesses of sessions.
_ENVIRONMENT = {
    "NO_ET": "1",  # otherwise Nipype checks for a newer version
    "MPLBACKEND": "agg",
    "MALLOC_MMAP_THRESHOLD_": str(2**20),  # otherwise glibc does not release the memory of arrays
}


@dataclass(frozen=True)
class Task:
    """Task for one subprocess: ``target(settings, argument, channel, environment)``."""

    name: str
    target: Callable[[Settings, Any, Connection, Mapping[str, str]], None]
    argument: Any


@dataclass
class _Child:
    task: Task
    process: BaseProcess
    channel: Connection | None
    start: float
    threads: int
    gpu: str | None
    temporary: TemporaryDirectory[str]
    result: Result | None = None

    def ends(self) -> list[Connection | int]:
        """Return the objects to wait for: the open message channel and the end of the subprocess."""
        return [self.process.sentinel, *([self.channel] if self.channel else [])]


class _Threaded(Protocol):
    """A child with a number of threads."""

    threads: int


def parallel_sessions(settings: Settings, sessions: Sequence[object]) -> int:
    """Return the number of sessions that run in parallel."""
    capacity = min(settings.nprocs // (settings.omp_nthreads or 1), settings.mem_mb // SESSION_MB)
    return max(1, min(capacity, len(sessions)))


def allocate_threads(settings: Settings, running: Sequence[_Threaded], starting: int) -> int:
    """Return the number of threads of a session to start.

    The cores that ``running`` does not use are divided among the ``starting`` sessions.
    """
    free = settings.nprocs - sum(child.threads for child in running)
    return settings.omp_nthreads or max(1, free // starting)


def allocate_gpu(gpus: Sequence[str], running: Sequence[_Child]) -> str | None:
    """Return the GPU that the fewest sessions use, or None without a GPU."""
    used = [child.gpu for child in running]
    return min(gpus, key=used.count, default=None)


def prepare() -> ForkServerContext:
    """Start the fork server of the sessions, which imports the modules that they need."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["bids_stroke.execution.preload"])
    environment = dict(os.environ)
    os.environ |= _ENVIRONMENT | {"OPENBLAS_NUM_THREADS": "1"}
    try:
        forkserver.ensure_running()
    finally:
        os.environ.clear()
        os.environ |= environment
    return context


class Supervisor:
    """Context manager that runs tasks in subprocesses, and kills those still running on exit.

    Parameters
    ----------
    settings : Settings
    tasks : iterable of Task
    on_message : callable
        Called with the name of a task and each message of its subprocess.
    """

    def __init__(
        self,
        settings: Settings,
        tasks: Iterable[Task],
        on_message: Callable[[str, Message], None] = lambda name, message: None,
    ) -> None:
        self._settings, self._on_message = settings, on_message
        self._waiting, self._added, self._running = deque(tasks), deque[Task](), list[_Child]()
        self._parallel_sessions = parallel_sessions(settings, self._waiting)
        self._gpus = [] if settings.device == "cpu" else resources.gpus()
        self._context = prepare()

    def __enter__(self) -> "Supervisor":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for child in self._running:
            child.process.kill()
            child.process.join()
            child.temporary.cleanup()

    def add(self, task: Task) -> None:
        """Add a task during the iteration over :meth:`results`; it runs next."""
        self._added.append(task)

    def stop(self) -> None:
        """Do not start any remaining initial task."""
        self._waiting.clear()

    def results(self) -> Iterator[tuple[Task, Result]]:
        """Run the tasks and yield the result of each as it ends."""
        while self._ready() or self._running:
            while starting := min(self._ready(), self._parallel_sessions - len(self._running)):
                task = (self._added or self._waiting).popleft()
                self._running.append(self._start(task, starting))
            wait([end for child in self._running for end in child.ends()])
            for child in list(self._running):
                self._listen(child)
                if not child.process.is_alive():
                    self._listen(child)
                    self._running.remove(child)
                    yield child.task, _finish(child)

    def _ready(self) -> int:
        return len(self._added) + len(self._waiting)

    def _start(self, task: Task, starting: int) -> _Child:
        threads = allocate_threads(self._settings, self._running, starting)
        gpu = allocate_gpu(self._gpus, self._running)
        # Temporary files of a killed child are removed with this folder.
        temporary = TemporaryDirectory(prefix="bids_stroke-", ignore_cleanup_errors=True)
        environment = {
            **os.environ,
            **_ENVIRONMENT,
            "OMP_NUM_THREADS": str(threads),
            "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": str(threads),
            "TMPDIR": temporary.name,
            "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # for reproducible results on a GPU
        }
        if gpu is not None:
            environment["CUDA_VISIBLE_DEVICES"] = gpu
        receiving, sending = self._context.Pipe(duplex=False)
        arguments = (self._settings, task.argument, sending, environment)
        process = self._context.Process(target=task.target, args=arguments, name=task.name)
        process.start()
        sending.close()
        return _Child(task, process, receiving, time.monotonic(), threads, gpu, temporary)

    def _listen(self, child: _Child) -> None:
        try:
            while child.channel and child.channel.poll():
                message = child.channel.recv()
                if isinstance(message, Result):
                    child.result = message
                self._on_message(child.task.name, message)
        except (EOFError, OSError):  # the child closed the channel
            assert child.channel is not None
            child.channel.close()
            child.channel = None


def _finish(child: _Child) -> Result:
    child.process.join()
    child.temporary.cleanup()
    code = child.process.exitcode
    if code == 0 and child.result:
        return child.result
    reason = "was killed, probably for lack of memory" if code == -9 else f"ended with status {code}"
    seconds = round(time.monotonic() - child.start, 1)
    return Result("failed", f"its subprocess {reason}; {isolated.RETRY_ADVICE}", seconds=seconds)
