"""Sessions in supervised processes, several at a time: none can stop or hang the others."""

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

#: Twice the peak memory of one session of 0.7 mm (docs/performance.md): large tiles and single
#: precision take more.
SESSION_MB = 4000
#: Environment of the process that sessions fork from, and of these.
_ENVIRONMENT = {
    "NO_ET": "1",  # or Nipype looks for its newest version
    "MPLBACKEND": "agg",
    "MALLOC_MMAP_THRESHOLD_": str(2**20),  # or glibc keeps most of what arrays have used
}


@dataclass(frozen=True)
class Task:
    """Work for one process: ``target(settings, argument, channel, environment)``."""

    name: str
    target: Callable[[Settings, Any, Connection, Mapping[str, str]], None]
    argument: Any


@dataclass
class _Child:
    task: Task
    process: BaseProcess
    channel: Connection | None
    begun: float
    threads: int
    gpu: str | None
    temporary: TemporaryDirectory[str]
    result: Result | None = None

    def ends(self) -> list[Connection | int]:
        """Objects to wait for: messages, as long as there can be some, and the end of the process."""
        return [self.process.sentinel, *([self.channel] if self.channel else [])]


class _Threaded(Protocol):
    """A child with a number of threads."""

    threads: int


def parallel_sessions(settings: Settings, sessions: Sequence[object]) -> int:
    """Number of sessions that run at a time."""
    room = min(settings.nprocs // (settings.omp_nthreads or 1), settings.mem_mb // SESSION_MB)
    return max(1, min(room, len(sessions)))


def allocate_threads(settings: Settings, running: Sequence[_Threaded], starting: int) -> int:
    """Threads of a session to start: the cores that ``running`` leaves, shared out among those that
    are ``starting``."""
    left = settings.nprocs - sum(child.threads for child in running)
    return settings.omp_nthreads or max(1, left // starting)


def allocate_gpu(gpus: Sequence[str], running: Sequence[_Child]) -> str | None:
    """The GPU that fewest sessions use; None without any."""
    used = [child.gpu for child in running]
    return min(gpus, key=used.count, default=None)


def prepare() -> ForkServerContext:
    """Start a process that loads what sessions need, and that theirs fork from."""
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
    """Runs tasks in processes: a context manager, which ends those still running.

    Parameters
    ----------
    settings : Settings
    tasks : iterable of Task
    on_message : callable
        Called with the name of a task and each message of its process.
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
        """Add a task while :meth:`results` are iterated over; it is next."""
        self._added.append(task)

    def stop(self) -> None:
        """Start no further task of those given at first."""
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
        # A folder of its own: what a killed child leaves behind goes with it. Its name holds no BIDS
        # entity, since PyBIDS would take that for one of the reportlets in it.
        temporary = TemporaryDirectory(prefix="bids_stroke-", ignore_cleanup_errors=True)
        environment = {
            **os.environ,
            **_ENVIRONMENT,
            "OMP_NUM_THREADS": str(threads),
            "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": str(threads),
            "TMPDIR": temporary.name,
            "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # without it, results of a GPU vary
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
        except (EOFError, OSError):  # the child closed its end: there are no further messages
            assert child.channel is not None
            child.channel.close()
            child.channel = None


def _finish(child: _Child) -> Result:
    child.process.join()
    child.temporary.cleanup()
    code = child.process.exitcode
    if code == 0 and child.result:
        return child.result
    how = "was killed, perhaps for lack of memory" if code == -9 else f"ended with status {code}"
    seconds = round(time.monotonic() - child.begun, 1)
    return Result("failed", f"its process {how}; {isolated.RETRY_ADVICE}", seconds=seconds)
