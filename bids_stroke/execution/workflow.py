"""Build and run the Nipype workflow of a session; restart it if intermediate results are damaged."""

import logging
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from bids_stroke import __version__
from bids_stroke.atlases.maps import Maps
from bids_stroke.bids.logs import crash_path, graph_path
from bids_stroke.bids.record import Record, write_unfinished
from bids_stroke.bids.sessions import Session
from bids_stroke.settings import Settings
from bids_stroke.spatial.template_spaces import find_spaces
from bids_stroke.utils.versions import package_versions

from .failures import SENTENCE, known_cause
from .messages import Send, Started, Step
from .plan import Job
from .plugins import assign_plugin_arguments, read_plugin
from .steps import REPORT, step_name, workflow_steps

if TYPE_CHECKING:
    from nipype.interfaces.base import Interface

    from bids_stroke.pipelines.base import LesionWorkflow  # imports Nipype

LOG = logging.getLogger("bids_stroke")
#: Packages that every workflow calls.
_PACKAGES = ("nipype", "nibabel", "nilearn", "numpy", "pybids", "scipy")


class _Node(Protocol):
    """Node of a workflow."""

    fullname: str
    interface: "Interface"


def run_workflow(settings: Settings, job: Job, record: Record, send: Send) -> None:
    """Run the workflow of a session and update its record.

    Intermediate results of an earlier run may be damaged. After an unexpected error, they are removed
    and the session is restarted.
    """
    base = session_work_folder(settings, job.session)
    resumed = base.is_dir()
    try:
        _run(settings, job, record, send)
    except Exception as error:
        if not resumed or known_cause(error):
            raise
        LOG.exception("%s is restarted without %s", job.session.name, base)
        shutil.rmtree(base)
        _run(settings, job, record, send)


def _run(settings: Settings, job: Job, record: Record, send: Send) -> None:
    """Build and run the workflow."""
    from nipype import config

    if settings.deterministic:
        import torch

        torch.use_deterministic_algorithms(True)
    base = session_work_folder(settings, job.session)
    base.parent.mkdir(parents=True, exist_ok=True)
    base.mkdir(mode=0o700, exist_ok=True)  # only the user may write there, since Nipype reads pickles
    crashes, crash_file = base / "crash", crash_path(settings.output_dir, record.name)
    config.update_config(
        {
            "execution": {
                "hash_method": "content",
                "crashdump_dir": str(crashes),
                "crashfile_format": "txt",
                "check_version": "False",
                "remove_unnecessary_outputs": "True",
                # If a step fails, the session fails, so the remaining steps are not run.
                "stop_on_first_crash": "True",
            },
            "logging": {"workflow_level": "WARNING", "interface_level": "WARNING"},
            "monitoring": {"enabled": "False"},
        }
    )
    crash_file.unlink(missing_ok=True)
    for partial in (settings.output_dir / job.session.participant).rglob(f".partial-{record.name}_*"):
        shutil.rmtree(partial)  # left by a killed run
    shutil.rmtree(crashes, ignore_errors=True)
    crashes.mkdir(parents=True)
    workflow = _workflow(settings, job)
    workflow.base_dir = str(base)
    if settings.write_graph:
        _write_graph(workflow, graph_path(settings.output_dir, record.name))
    record.description = workflow.describe()
    record.materials = workflow.materials()
    record.versions = package_versions({*_PACKAGES, *workflow.packages()})
    record.outputs = {
        role: str(path.relative_to(settings.output_dir)) for role, path in workflow.derivatives.items()
    }
    write_unfinished(record, settings.output_dir)
    spaces = settings.output_spaces
    send(Started((*workflow_steps(workflow, spaces), REPORT), record))
    started: dict[str, float] = {}

    def report(node: _Node, status: Literal["start", "end", "exception"]) -> None:
        if status == "start":
            started[node.fullname] = time.monotonic()
        seconds = time.monotonic() - started.get(node.fullname, time.monotonic())
        path = node.fullname.split(".", 1)[1]
        step = Step(step_name(path, node.interface, spaces), status, seconds)
        step.add_to(record)
        send(step)

    name, arguments, gpu_arguments = read_plugin(settings.plugin_file)
    assign_plugin_arguments(workflow, gpu_arguments)
    try:
        workflow.run(plugin=name, plugin_args={"status_callback": report, **arguments})
    except Exception as error:
        _keep_crash(crashes, error, crash_file)
        raise


def _workflow(settings: Settings, job: Job) -> "LesionWorkflow":
    from bids_stroke.pipelines.participant import init_session_wf
    from bids_stroke.pipelines.template_session import init_template_session_wf

    maps = Maps(settings.tracts, settings.cutoffs_ml, settings.atlases)
    sources = job.sources
    if job.session.in_template:
        return init_template_session_wf(
            session=job.session,
            maps=maps,
            sources=sources,
        )
    return init_session_wf(
        session=job.session,
        card=job.card,
        maps=maps,
        sources=sources,
        brain_extraction=settings.brain_extraction,
        normalization=settings.normalization,
        spaces=find_spaces(settings.output_spaces),
        device=settings.device,
        mirror=settings.mirror,
        orientation=settings.assume_orientation,
        earlier=job.earlier,
    )


def _write_graph(workflow: "LesionWorkflow", path: Path) -> None:
    """Write the graph of a workflow as ``.dot`` and, if Graphviz is installed, as ``.svg``."""
    kind = "svg" if shutil.which("dot") else "dot"
    workflow.write_graph(str(path), graph2use="colored", format=kind, simple_form=True)


def session_work_folder(settings: Settings, session: Session) -> Path:
    """Return the folder of a session's intermediate results.

    Each version has a separate folder, and so do deterministic runs.
    """
    name = __version__ + ("-deterministic" if settings.deterministic else "")
    return settings.work_dir / f"bids_stroke-{name}" / session.name


def _keep_crash(crashes: Path, error: Exception, path: Path) -> None:
    """Copy the crash files of Nipype to the logs, unless the error is one that a user can act on."""
    if SENTENCE.search(str(error.__cause__ or error)):
        return
    texts = [crash.read_text(errors="replace") for crash in sorted(crashes.glob("crash-*.txt"))]
    path.write_text("\n\n".join(texts))
