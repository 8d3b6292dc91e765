"""Run sessions in child processes, several at a time: none can stop or hang the others."""

import multiprocessing
import os
import time
from dataclasses import dataclass, field
from multiprocessing import forkserver
from multiprocessing.connection import wait
from tempfile import TemporaryDirectory

from bids_stroke.compute import isolated

from . import resources

#: Twice the peak memory of one session of 0.7 mm (docs/performance.md): large tiles and single
#: precision take more.
SESSION_MB = 4000
#: Of the process that sessions fork from, and of these.
_THEIRS = {
    "NO_ET": "1",  # or Nipype looks for its newest version
    "MPLBACKEND": "agg",
    "MALLOC_MMAP_THRESHOLD_": str(2**20),  # or glibc keeps most of what arrays have used
}


@dataclass
class _Child:
    session: object
    process: multiprocessing.Process
    channel: object
    begun: float
    threads: int
    gpu: str | None
    temporary: TemporaryDirectory
    result: dict = field(default_factory=lambda: {"status": "failed", "error": None, "steps": {}})

    def ends(self):
        """What to wait on: news, while there can be some, and the end of the process."""
        return [end for end in (self.channel, self.process.sentinel) if end is not None]


def at_once(settings, sessions):
    """How many sessions run at a time."""
    room = min(settings.nprocs // (settings.omp_nthreads or 1), settings.mem_mb // SESSION_MB)
    return max(1, min(room, len(sessions)))


def threads_of_next(settings, running, starting):
    """Threads of a session to start: the cores that ``running`` leaves, shared out among those that
    are ``starting``."""
    left = settings.nprocs - sum(child.threads for child in running)
    return settings.omp_nthreads or max(1, left // starting)


def gpu_of_next(gpus, running):
    """The GPU that fewest sessions use; None without any."""
    used = [child.gpu for child in running]
    return min(gpus, key=used.count, default=None)


def prepare():
    """Start to load what the sessions need, in a process of its own that theirs fork from."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["bids_stroke.execution.preload"])
    ours = dict(os.environ)
    os.environ |= _THEIRS | {"OPENBLAS_NUM_THREADS": "1"}
    try:
        forkserver.ensure_running()
    finally:
        os.environ.clear()
        os.environ |= ours
    return context


def run(settings, sessions, on_event=lambda name, *event: None):
    """Run sessions and yield ``(session, result)`` as each ends.

    Parameters
    ----------
    settings : Settings
    sessions : sequence of Session
    on_event : callable
        Called with the session's name and each message of its child.

    Yields
    ------
    tuple of (Session, dict)
        The result has ``status`` (ok, failed, or elsewhere: at work in another run), ``error``,
        ``steps`` (seconds), ``seconds``, and what the child told: ``description``, ``outputs``,
        ``versions``.
    """
    context = prepare()
    number = at_once(settings, sessions)
    gpus = [] if settings.device == "cpu" else resources.gpus()
    waiting, running = list(reversed(sessions)), []
    try:
        while waiting or running:
            while starting := min(len(waiting), number - len(running)):
                threads = threads_of_next(settings, running, starting)
                gpu = gpu_of_next(gpus, running)
                running.append(_start(context, settings, waiting.pop(), threads, gpu))
            wait([end for child in running for end in child.ends()])
            for child in list(running):
                _listen(child, on_event)
                if not child.process.is_alive():
                    _listen(child, on_event)
                    running.remove(child)
                    result = _finish(child)
                    if result["status"] != "ok" and settings.stop_on_first_crash:
                        waiting.clear()
                    yield child.session, result
    finally:
        for child in running:
            child.process.kill()
            child.process.join()
            child.temporary.cleanup()


def _start(context, settings, session, threads, gpu):
    from . import session as session_process  # slow to load, after prepare()

    # A folder of its own: what a killed child leaves behind goes with it.
    temporary = TemporaryDirectory(prefix=f"bids_stroke-{session.name}-", ignore_cleanup_errors=True)
    environment = (
        os.environ
        | _THEIRS
        | {
            "OMP_NUM_THREADS": str(threads),
            "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": str(threads),
            "TMPDIR": temporary.name,
            "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # without it, results of a GPU vary
        }
    )
    if gpu is not None:
        environment["CUDA_VISIBLE_DEVICES"] = gpu
    channel, theirs = context.Pipe(duplex=False)
    arguments = (settings, session, theirs, environment)
    process = context.Process(target=session_process.run, args=arguments, name=session.name)
    process.start()
    theirs.close()
    return _Child(session, process, channel, time.monotonic(), threads, gpu, temporary)


def _listen(child, on_event):
    try:
        while child.channel and child.channel.poll():
            kind, *content = child.channel.recv()
            if kind in ("ok", "failed", "elsewhere"):
                child.result |= {"status": kind, "error": content[0]}
            elif kind in ("description", "outputs", "versions"):
                child.result[kind] = content[0]
            elif kind in ("end", "exception") and content[1] >= 1:
                # Steps below a second are bookkeeping.
                child.result["steps"][content[0]] = round(content[1], 1)
            on_event(child.session.name, kind, *content)
    except (EOFError, OSError):  # the child closed its end: nothing more to hear
        child.channel.close()
        child.channel = None


def _finish(child):
    child.process.join()
    child.temporary.cleanup()
    result = child.result | {"seconds": round(time.monotonic() - child.begun, 1)}
    code = child.process.exitcode
    if code == 0 and (result["status"] == "ok" or result["error"]):
        return result
    how = "was killed, perhaps for lack of memory" if code == -9 else f"ended with status {code}"
    return result | {"status": "failed", "error": f"its process {how}; {isolated.RETRY_ADVICE}"}
