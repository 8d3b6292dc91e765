"""One session, from raw images to derivatives."""

from nipype.interfaces.utility import Merge
from nipype.pipeline.engine import Node

from .anat import init_coregistration_wf, init_reference_wf
from .engine import LesionWorkflow, identity
from .lesion import init_lesion_wf, init_other_grid_wf
from .measure import init_measure_wf
from .outputs import (
    Names,
    init_contrast_outputs_wf,
    init_reference_outputs_wf,
    init_space_outputs_wf,
    init_template_outputs_wf,
)
from .template import init_space_wf, init_template_wf

_PREPARED = (("outputnode.preproc", "inputnode.preproc"), ("outputnode.brain", "inputnode.brain"))
_SEGMENTED = (
    ("outputnode.lesion", "inputnode.lesion"),
    ("outputnode.probability", "inputnode.probability"),
)
_NORMALIZED = (
    ("outputnode.to_template", "inputnode.to_template"),
    ("outputnode.from_template", "inputnode.from_template"),
    ("outputnode.template", "inputnode.template"),
    ("outputnode.template_brain", "inputnode.template_brain"),
)


def init_session_wf(
    *,
    session,
    card,
    tract,
    bids_dir,
    output_dir,
    brain_extraction,
    normalization,
    spaces,
    device,
    name="session_wf",
):
    """Take a session through all steps.

    Parameters
    ----------
    session : Session
    card : Card
    tract : TractCard
    bids_dir, output_dir : Path
    brain_extraction : {"hd-bet", "deepbet", "none"}
    normalization : {"masked", "enantiomorphic"}
    spaces : sequence of Space
        The first is the default one, in which the loads are measured.
    device : str
    """
    workflow = LesionWorkflow(name=name)
    reference = session.reference
    used = card.select(_ordered(session))
    others = [c for c in _ordered(session)[1:] if c in used or c == "FLAIR"]
    names = Names(
        session=session,
        card=card,
        contrasts=used,
        tract=tract,
        bids_dir=bids_dir,
        output_dir=output_dir,
    )
    inputnode = identity("inputnode", [reference, *others])
    for contrast in (reference, *others):
        setattr(inputnode.inputs, contrast, str(session.images[contrast]))
    reference_wf = init_reference_wf(
        brain_extraction=brain_extraction, own_mask=session.brain_mask, device=device
    )
    images = Node(Merge(len(used)), name="images")
    lesion_wf = init_lesion_wf(card=card, contrasts=used, device=device)
    template_wf = init_template_wf(normalization=normalization)
    measure_wf = init_measure_wf(tract=tract)
    reference_outputs_wf = init_reference_outputs_wf(names=names)
    template_outputs_wf = init_template_outputs_wf(names=names)
    workflow.connect([
        (inputnode, reference_wf, [(reference, "inputnode.in_file")]),
        (images, lesion_wf, [("out", "inputnode.images")]),
        (reference_wf, lesion_wf, [("outputnode.brain", "inputnode.brain")]),
        (reference_wf, template_wf, [*_PREPARED]),
        (lesion_wf, template_wf, [*_SEGMENTED]),
        (reference_wf, measure_wf, [*_PREPARED]),
        (lesion_wf, measure_wf, [*_SEGMENTED]),
        (template_wf, measure_wf, [
            ("outputnode.side", "inputnode.side"),
            ("outputnode.lesion", "inputnode.lesion_template"),
            ("outputnode.brain", "inputnode.brain_template"),
            ("outputnode.template_brain", "inputnode.template_brain"),
        ]),
        (reference_wf, reference_outputs_wf, [
            *_PREPARED,
            ("outputnode.conformed", "inputnode.conformed"),
        ]),
        (lesion_wf, reference_outputs_wf, [*_SEGMENTED]),
        (measure_wf, reference_outputs_wf, [
            ("outputnode.components", "inputnode.components"),
            ("outputnode.quality", "inputnode.quality"),
        ]),
        (template_wf, template_outputs_wf, [*_PREPARED, *_SEGMENTED, *_NORMALIZED]),
        (measure_wf, template_outputs_wf, [("outputnode.loads", "inputnode.loads")]),
    ])  # fmt: skip
    if reference in used:
        place = f"in{used.index(reference) + 1}"
        workflow.connect([(reference_wf, images, [("outputnode.preproc", place)])])
    for space in spaces[1:]:
        _add_space(workflow, space, normalization, names)
    for contrast in others:
        _add_contrast(workflow, contrast, names)
        if contrast in used:
            coregistration_wf = workflow.get_node(f"{contrast.lower()}_wf")
            workflow.connect([
                (coregistration_wf, images, [
                    ("outputnode.on_reference", f"in{used.index(contrast) + 1}"),
                ]),
            ])  # fmt: skip
    return workflow


def _add_space(workflow, space, normalization, names):
    """Wire a further template space: normalized, outputs kept."""
    stem = space.name.lower()
    space_wf = init_space_wf(space=space, normalization=normalization, name=f"{stem}_wf")
    outputs_wf = init_space_outputs_wf(names=names, space=space, name=f"{stem}_outputs_wf")
    workflow.connect([
        (workflow.get_node("reference_wf"), space_wf, [*_PREPARED]),
        (workflow.get_node("lesion_wf"), space_wf, [*_SEGMENTED]),
        (space_wf, outputs_wf, [*_PREPARED, *_SEGMENTED, *_NORMALIZED]),
    ])  # fmt: skip


def _add_contrast(workflow, contrast, names):
    """Wire a further contrast: registered, the lesion brought to its grid, outputs kept."""
    stem = contrast.lower()
    coregistration_wf = init_coregistration_wf(
        reference=names.session.reference, contrast=contrast, name=f"{stem}_wf"
    )
    grid_wf = init_other_grid_wf(name=f"{stem}_lesion_wf")
    outputs_wf = init_contrast_outputs_wf(names=names, contrast=contrast, name=f"{stem}_outputs_wf")
    inputnode = workflow.get_node("inputnode")
    reference_wf, lesion_wf = workflow.get_node("reference_wf"), workflow.get_node("lesion_wf")
    workflow.connect([
        (inputnode, coregistration_wf, [(contrast, "inputnode.in_file")]),
        (reference_wf, coregistration_wf, [
            ("outputnode.preproc", "inputnode.reference"),
            ("outputnode.brain", "inputnode.brain"),
        ]),
        (lesion_wf, grid_wf, [*_SEGMENTED]),
        (coregistration_wf, grid_wf, [
            ("outputnode.preproc", "inputnode.reference"),
            ("outputnode.from_reference", "inputnode.transform"),
        ]),
        (coregistration_wf, outputs_wf, [
            *_PREPARED,
            ("outputnode.reference_moved", "inputnode.reference_moved"),
            ("outputnode.to_reference", "inputnode.to_reference"),
            ("outputnode.from_reference", "inputnode.from_reference"),
        ]),
        (grid_wf, outputs_wf, [*_SEGMENTED]),
    ])  # fmt: skip


def _ordered(session):
    """Contrasts of a session, the reference first."""
    rest = [contrast for contrast in session.images if contrast != session.reference]
    return (session.reference, *rest)
