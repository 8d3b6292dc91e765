"""Workflow of a session, from raw images to derivatives."""

from collections.abc import Mapping, Sequence

from nipype.interfaces.utility import Merge
from nipype.pipeline.engine import Node

from bids_stroke.atlases.maps import Maps
from bids_stroke.bids.reusable import Segmentation
from bids_stroke.bids.sessions import Session
from bids_stroke.bids.source_datasets import SourceDatasets
from bids_stroke.interfaces.qc import Join
from bids_stroke.models.card import Card
from bids_stroke.models.ensembles import Ensemble
from bids_stroke.spatial.template_spaces import DEFAULT_SPACE, Space

from .anat import init_coregistration_wf, init_reference_wf
from .base import LesionWorkflow, identity
from .correction import add_correction
from .derivatives import Derivatives
from .filling import init_filling_wf
from .lesion import add_lesion, init_lesion_resampling_wf
from .measure import init_measure_wf, init_quality_wf
from .outputs import (
    init_contrast_outputs_wf,
    init_reference_outputs_wf,
    init_space_outputs_wf,
    init_template_outputs_wf,
)
from .slices import add_slices
from .template import init_template_wf

_PREPARED = (("outputnode.preproc", "inputnode.preproc"), ("outputnode.brain", "inputnode.brain"))
_CONFORMED = (("outputnode.conformed", "inputnode.conformed"), *_PREPARED)


def _lesion_connections(names: Derivatives, *, to: str = "") -> list[tuple[str, str]]:
    """Return the connections of the lesion and, if available, its probability.

    ``to`` is the suffix of the names of the target fields.
    """
    fields = ["lesion", "probability"] if names.has_probability else ["lesion"]
    return [(f"outputnode.{field}", f"inputnode.{field}{to}") for field in fields]


def init_session_wf(
    *,
    session: Session,
    card: Card | Ensemble | None,
    maps: Maps,
    sources: SourceDatasets,
    brain_extraction: str,
    normalization: str,
    spaces: Sequence[Space],
    device: str,
    mirror: bool = False,
    orientation: str | None = None,
    earlier: Segmentation | None = None,
    name: str = "session_wf",
) -> LesionWorkflow:
    """Process a session.

    Parameters
    ----------
    session : Session
    card : Card or None
        None for a session with a user-supplied lesion mask.
    maps : Maps
    sources : SourceDatasets
    brain_extraction : str
        ``hd-bet``, ``deepbet``, ``none`` or ``nnunet:FOLDER``
    normalization : {"masked", "enantiomorphic"}
    spaces : sequence of Space
        Template spaces; the first is the default space, in which the loads are measured.
    device : str
    mirror : bool
        Average the predictions on the original and the mirrored images
    orientation : {"RAS", "LAS"} or None
        Assumed orientation of files whose headers define none
    earlier : Segmentation or None
        Brain mask and lesion probability of an earlier run, which are used again.
    """
    workflow = LesionWorkflow(name=name)
    reference = session.reference
    used = card.select(tuple(session.images)) if card else ()
    others = session.processed(card)[1:]
    names = Derivatives(
        session=session,
        card=card,
        contrasts=used,
        maps=maps,
        sources=sources,
        orientation=orientation,
    )
    inputnode = identity("inputnode", [reference, *others])
    for contrast in (reference, *others):
        setattr(inputnode.inputs, contrast, str(session.images[contrast]))
    reference_wf = init_reference_wf(
        brain_extraction=brain_extraction,
        supplied_brain_mask=session.brain_mask,
        device=device,
        orientation=orientation,
        earlier_brain_mask=earlier and earlier.brain_mask,
    )
    workflow.connect([(inputnode, reference_wf, [(reference, "inputnode.in_file")])])
    coregistered = {contrast: _add_contrast(workflow, contrast, names) for contrast in others}
    drawn_wf, lesion_wf = add_lesion(workflow, names, used, coregistered, device, mirror, earlier)
    normalized = [_add_space(workflow, space, normalization, names, lesion_wf) for space in spaces]
    template_wf = normalized[0]
    segmented_by = None if session.lesion else card
    measure_wf = init_measure_wf(
        maps=maps,
        probability=names.has_probability,
        min_component_mm3=segmented_by.min_component_mm3 if segmented_by else 0.0,
        volume_errors=segmented_by.calibration_for(used).volume if segmented_by else None,
    )
    quality = _add_quality(workflow, reference, coregistered, template_wf)
    reference_outputs_wf = init_reference_outputs_wf(names=names)
    template_outputs_wf = init_template_outputs_wf(names=names)
    workflow.derivatives = names.outputs
    # Points of the lesion are mapped to the template through the reference image.
    steps = [(template_wf, "from_template")]
    if session.drawn_on in others:
        steps.insert(0, (coregistered[session.drawn_on], "from_reference"))
    to_template = Node(Merge(len(steps)), name="to_template")
    for place, (step, field) in enumerate(steps, 1):
        workflow.connect([(step, to_template, [(f"outputnode.{field}", f"in{place}")])])
    workflow.connect([
        (drawn_wf, measure_wf, _lesion_connections(names)),
        (to_template, measure_wf, [("out", "inputnode.transforms")]),
        (template_wf, measure_wf, _lesion_connections(names, to="_template")),
        (reference_wf, reference_outputs_wf, [*_CONFORMED]),
        (lesion_wf, reference_outputs_wf, _lesion_connections(names)),
        (measure_wf, reference_outputs_wf, [("outputnode.components", "inputnode.components")]),
        (quality, reference_outputs_wf, [("out_table", "inputnode.quality")]),
        (template_wf, template_outputs_wf, [
            ("outputnode.preproc", "inputnode.preproc"),
            ("outputnode.lesion", "inputnode.lesion"),
            ("outputnode.template_brain", "inputnode.template_brain"),
        ]),
        (measure_wf, template_outputs_wf, [("outputnode.tables", "inputnode.tables")]),
    ])  # fmt: skip
    if reference == "T1w":  # the contrast that other programs use
        filling_wf = init_filling_wf(names=names)
        transforms = ("to_template", "from_template")
        workflow.connect([
            (reference_wf, filling_wf, [*_PREPARED]),
            (lesion_wf, filling_wf, [("outputnode.lesion", "inputnode.lesion")]),
            (template_wf, filling_wf, [(f"outputnode.{t}", f"inputnode.{t}") for t in transforms]),
        ])  # fmt: skip
    if session.correction:
        add_correction(workflow, names, lesion_wf)
    add_slices(workflow, names, lesion_wf, coregistered)
    for contrast, coregistration_wf in coregistered.items():
        outputs_wf = workflow.get_node(f"{contrast.lower()}_outputs_wf")
        if contrast == session.drawn_on:
            workflow.connect([(drawn_wf, outputs_wf, _lesion_connections(names))])
            continue
        grid_wf = init_lesion_resampling_wf(
            probability=names.has_probability, name=f"{contrast.lower()}_lesion_wf"
        )
        workflow.connect([
            (lesion_wf, grid_wf, _lesion_connections(names)),
            (coregistration_wf, grid_wf, [
                ("outputnode.preproc", "inputnode.reference"),
                ("outputnode.from_reference", "inputnode.transform"),
            ]),
            (grid_wf, outputs_wf, _lesion_connections(names)),
        ])  # fmt: skip
    return workflow


def _add_quality(
    workflow: LesionWorkflow,
    reference: str,
    coregistered: Mapping[str, LesionWorkflow],
    template_wf: LesionWorkflow,
) -> Node:
    """Connect the quality measures of all images; return the node with the joint table."""
    tables = Node(Merge(1 + len(coregistered)), name="quality_tables")
    join = Node(Join(), name="quality")
    prepared = {reference: workflow.get_node("reference_wf"), **coregistered}
    for place, (contrast, wf) in enumerate(prepared.items(), 1):
        quality_wf = init_quality_wf(
            contrast=contrast, reference=reference, name=f"{contrast.lower()}_quality_wf"
        )
        if contrast != reference:
            workflow.connect([
                (wf, quality_wf, [
                    ("outputnode.from_reference", "inputnode.from_reference"),
                    ("outputnode.reference_moved", "inputnode.reference_moved"),
                ]),
            ])  # fmt: skip
        workflow.connect([
            (wf, quality_wf, [*_CONFORMED]),
            (template_wf, quality_wf, [
                ("outputnode.template_brain", "inputnode.template_brain"),
                ("outputnode.brain", "inputnode.brain_template"),
                ("outputnode.from_template", "inputnode.from_template"),
            ]),
            (quality_wf, tables, [("outputnode.table", f"in{place}")]),
        ])  # fmt: skip
    workflow.connect([(tables, join, [("out", "in_tables")])])
    return join


def _add_space(
    workflow: LesionWorkflow,
    space: Space,
    normalization: str,
    names: Derivatives,
    lesion_wf: LesionWorkflow,
) -> LesionWorkflow:
    """Connect the normalization to a template space and its outputs; return the normalization."""
    stem = "template" if space == DEFAULT_SPACE else space.name.lower()
    template_wf = init_template_wf(
        space=space,
        normalization=normalization,
        probability=names.has_probability,
        name=f"{stem}_wf",
    )
    outputs_wf = init_space_outputs_wf(names=names, space=space, name=f"{stem}_space_outputs_wf")
    fields = ("to_template", "from_template", "template", "template_brain")
    workflow.connect([
        (workflow.get_node("reference_wf"), template_wf, [*_PREPARED]),
        (lesion_wf, template_wf, _lesion_connections(names)),
        (template_wf, outputs_wf, [
            *_PREPARED,
            *_lesion_connections(names),
            *((f"outputnode.{field}", f"inputnode.{field}") for field in fields),
        ]),
    ])  # fmt: skip
    return template_wf


def _add_contrast(workflow: LesionWorkflow, contrast: str, names: Derivatives) -> LesionWorkflow:
    """Connect the coregistration and outputs of an additional contrast; return the coregistration."""
    stem = contrast.lower()
    coregistration_wf = init_coregistration_wf(
        reference=names.session.reference,
        contrast=contrast,
        orientation=names.orientation,
        name=f"{stem}_wf",
    )
    outputs_wf = init_contrast_outputs_wf(names=names, contrast=contrast, name=f"{stem}_outputs_wf")
    workflow.connect([
        (workflow.get_node("inputnode"), coregistration_wf, [(contrast, "inputnode.in_file")]),
        (workflow.get_node("reference_wf"), coregistration_wf, [
            ("outputnode.preproc", "inputnode.reference"),
            ("outputnode.brain", "inputnode.brain"),
        ]),
        (coregistration_wf, outputs_wf, [
            *_CONFORMED,
            ("outputnode.reference_moved", "inputnode.reference_moved"),
            ("outputnode.to_reference", "inputnode.to_reference"),
            ("outputnode.from_reference", "inputnode.from_reference"),
        ]),
    ])  # fmt: skip
    return coregistration_wf
