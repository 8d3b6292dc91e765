"""Workflow of a session with a user-supplied lesion mask in a template space."""

from nipype.pipeline.engine import Node

from bids_stroke.atlases.maps import Maps
from bids_stroke.bids.sessions import Session
from bids_stroke.bids.source_datasets import SourceDatasets
from bids_stroke.interfaces.spatial import MoveToTemplate, Template
from bids_stroke.spatial.template_transforms import has_transform
from bids_stroke.spatial.templates import TEMPLATE

from .base import LesionWorkflow
from .derivatives import Derivatives
from .measure import init_measure_wf
from .outputs import init_supplied_outputs_wf
from .template import MNI2009


def _describe_masks(space: str) -> str:
    """Describe masks in a template space; the text ends with the name of the output template."""
    if space == TEMPLATE:
        return f"Lesion masks were supplied by the user in {TEMPLATE}"
    step = "transformed to" if has_transform(space) else "assumed to be in"
    return f"Lesion masks in {space} were supplied by the user and {step} {TEMPLATE}"


def init_template_session_wf(
    *,
    session: Session,
    maps: Maps,
    sources: SourceDatasets,
    name: str = "session_wf",
) -> LesionWorkflow:
    """Measure a user-supplied lesion mask in a template space, without registration.

    Parameters
    ----------
    session : Session
    maps : Maps
    sources : SourceDatasets
    """
    workflow = LesionWorkflow(name=name)
    assert session.lesion is not None and session.lesion.space is not None
    space = session.lesion.space
    names = Derivatives(
        session=session,
        card=None,
        contrasts=(),
        maps=maps,
        sources=sources,
    )
    workflow.__desc__ = f"{_describe_masks(space)} {MNI2009}."
    template = Node(Template(), name="template")
    lesion = Node(
        MoveToTemplate(in_file=str(session.lesion.path), space=space, is_mask=True), name="lesion"
    )
    measure_wf = init_measure_wf(maps=maps, probability=False)
    measure_wf.inputs.inputnode.transforms = []
    outputs_wf = init_supplied_outputs_wf(names=names)
    workflow.derivatives = names.outputs
    workflow.connect([
        (lesion, measure_wf, [
            ("out_file", "inputnode.lesion"),
            ("out_file", "inputnode.lesion_template"),
        ]),
        (lesion, outputs_wf, [("out_file", "inputnode.lesion")]),
        (template, outputs_wf, [("brain", "inputnode.template_brain")]),
        (measure_wf, outputs_wf, [
            ("outputnode.components", "inputnode.components"),
            ("outputnode.tables", "inputnode.tables"),
        ]),
    ])  # fmt: skip
    if session.images:
        image = next(iter(session.images.values()))
        move = MoveToTemplate(in_file=str(image), space=space)
        background, field = Node(move, name="background"), "out_file"
    else:
        background, field = template, "t1w"
    workflow.connect([(background, outputs_wf, [(field, "inputnode.background")])])
    return workflow
