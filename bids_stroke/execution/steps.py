"""Readable names of the steps of a session, and the usual durations of the steps."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from bids_stroke.models.card import CONTRASTS

if TYPE_CHECKING:
    from nipype.interfaces.base import Interface
    from nipype.pipeline.engine import Workflow

#: Last step of a session, after its workflow.
REPORT = "report"
#: Names of steps by the class of their interface, which take precedence over the names by node.
_BY_INTERFACE = {
    "ImportBrainMask": "import of the brain mask",
    "Join": "table of the image quality",
    "Merge": "collection of inputs",
}
#: Names of steps by the name of their node.
_BY_NODE = {
    "background": "transformation of the image",
    "bias": "bias correction",
    "brain": "resampling of the brain mask",
    "brain_to_template": "transformation of the brain mask",
    "compare": "comparison with the corrected mask",
    "components": "lesion volume",
    "conform": "reorientation",
    "earlier_brain": "import of the brain mask",
    "earlier_probability": "import of the lesion probability",
    "extract": "brain extraction",
    "fill": "lesion filling",
    "import_mask": "import of the lesion mask",
    "lesion": "resampling of the lesion mask",
    "lesion_to_template": "transformation of the lesion mask",
    "loads": "tract loads",
    "normalize": "normalization",
    "on_reference": "resampling to the reference image",
    "preproc_to_template": "transformation of the image",
    "probability": "resampling of the lesion probability",
    "probability_to_template": "transformation of the lesion probability",
    "quality": "image quality",
    "reference_moved": "resampling of the reference image",
    "rigid": "rigid registration",
    "segment": "lesion segmentation",
    "shares": "regional lesion volumes",
    "template": "loading of the template",
    "threshold": "thresholding of the lesion probability",
    "tracts": "transformation of the tracts",
}
#: Subjects of figures, by the start of the names of their nodes.
_FIGURES = {
    "alignment": "alignment",
    "bias": "bias correction",
    "brain": "brain mask",
    "correction": "correction",
    "filling": "lesion filling",
    "lesion": "lesion",
    "overview": "lesion in three planes and in 3D",
    "probability": "lesion probability",
}
#: Saved files, by the end of the names of their nodes.
_FILES = {
    "agreement": "agreement with the corrected mask",
    "brain": "brain mask",
    "components": "lesion components",
    "filled": "filled image",
    "from_reference": "transform from the reference image",
    "from_template": "transform from the template",
    "lesion": "lesion mask",
    "model": "lesion mask of the model",
    "preproc": "corrected image",
    "probability": "lesion probability",
    "quality": "image quality",
    "reference_moved": "resampled reference image",
    "tables": "tract loads and regional volumes",
    "to_reference": "transform to the reference image",
    "to_template": "transform to the template",
}
_CONTRASTS = {contrast.lower(): contrast for contrast in CONTRASTS}
#: Workflows whose names do not contain the contrast or space of their steps.
_PLACES = {"template_outputs_wf": "template", "template_space_outputs_wf": "template"}
#: Usual durations (s) of steps that take a second or more, measured by benchmarks/participant.py
#: (mean of both participants in docs/performance.md).
USUAL_SECONDS = {
    "bias correction": 8,
    "brain extraction": 24,
    "figure of the lesion": 1,
    "figure of the lesion probability": 1,
    "image quality": 4,
    "lesion segmentation": 22,
    "lesion volume": 2,
    "loading of the template": 2,
    "normalization": 22,
    "resampling of the reference image": 1,
    "resampling to the reference image": 1,
    "rigid registration": 9,
    "saving of the image quality": 1,
    "tract loads": 2,
    "transformation of the image": 3,
    "transformation of the lesion mask": 1,
    "transformation of the lesion probability": 1,
    REPORT: 13,
}
_SHORT_SECONDS = 0.3  # other steps


def usual_seconds(name: str) -> float:
    """Return the usual duration (s) of a step by its name.

    >>> usual_seconds("bias correction (FLAIR)")
    8
    """
    return USUAL_SECONDS.get(name.partition(" (")[0], _SHORT_SECONDS)


def step_name(path: str, interface: "Interface", spaces: Iterable[str] = ()) -> str:
    """Return the readable name of a step.

    Parameters
    ----------
    path : str
        Names of the workflow and of the node in the workflow of the session, such as ``flair_wf.bias``.
    interface : Interface
        Interface of the node.
    spaces : iterable of str
        Template spaces of the outputs.

    Returns
    -------
    str
        Name such as ``bias correction (FLAIR)``, or ``path`` if the step has none.
    """
    workflow, _, node = path.rpartition(".")
    name = _BY_INTERFACE.get(type(interface).__name__) or _name_of_node(node)
    place = _place(workflow, spaces)
    if name is None:
        return path
    return f"{name} ({place})" if place else name


def _name_of_node(node: str) -> str | None:
    """Return the name of a step by the name of its node."""
    saved = node.removeprefix("ds_")
    subject = _figure(saved.removesuffix("_figure")) if saved.endswith("_figure") else None
    if node == saved:
        return f"figure of the {subject}" if subject else _BY_NODE.get(node)
    file = f"figure of the {subject}" if subject else _FILES.get(saved)
    return f"saving of the {file}" if file else None


def _figure(subject: str) -> str | None:
    if subject.startswith("tract_"):
        return f"tract {subject.removeprefix('tract_')}"
    if subject.endswith("_axial"):
        suffix = subject.removesuffix("_axial")
        return f"axial slices of the {_CONTRASTS.get(suffix, 'template')}"
    return _FIGURES.get(subject)


def _place(workflow: str, spaces: Iterable[str]) -> str | None:
    """Return the contrast or template space of the steps of a workflow, if its name contains one."""
    places = _CONTRASTS | {place.lower(): place for place in spaces}
    return _PLACES.get(workflow, places.get(workflow.partition("_")[0]))


def workflow_steps(workflow: "Workflow", spaces: Iterable[str] = ()) -> Iterator[str]:
    """Yield the names of the steps of the workflow of a session, without nodes that compute nothing."""
    for path in workflow.list_node_names():
        interface = workflow.get_node(path).interface
        if type(interface).__name__ != "IdentityInterface":
            yield step_name(path, interface, spaces)
