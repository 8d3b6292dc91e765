"""Workflows of the lesion mask: segmentation, user-supplied masks, resampling."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from nipype.interfaces.utility import Merge
from nipype.pipeline.engine import Node

from bids_stroke.bids.reusable import Segmentation
from bids_stroke.bids.supplied_masks import SuppliedMask
from bids_stroke.interfaces.lesion import ImportLesionMask, Threshold
from bids_stroke.interfaces.models import ImportProbability, Segment
from bids_stroke.interfaces.spatial import Apply
from bids_stroke.models.card import Card
from bids_stroke.models.ensembles import Ensemble

from .base import LesionWorkflow, identity, on_device
from .derivatives import Derivatives

_SOFTWARE = {"torch": "PyTorch [@pytorch]", "monai": "MONAI [@monai]"}


def init_lesion_wf(
    *,
    card: Card | Ensemble,
    contrasts: Sequence[str],
    device: str,
    mirror: bool = False,
    earlier_probability: Path | None = None,
    name: str = "lesion_wf",
) -> LesionWorkflow:
    """Segment the lesion.

    Parameters
    ----------
    card : Card
    contrasts : sequence of str
        Contrasts that the model uses, in the order of ``images``.
    device : str
    mirror : bool
        Average the predictions on the original and the mirrored images
    earlier_probability : path or None
        Lesion probability of an earlier run, which is used again.

    Inputs
    ------
    images
        List of bias-corrected images on the grid of the reference, in the order of ``contrasts``; not
        with ``earlier_probability``
    brain
        Brain mask

    Outputs
    -------
    probability
        Lesion probability on the grid of the reference
    lesion
        Lesion mask
    """
    workflow = LesionWorkflow(name=name)
    workflow.__packages__ = sorted({name for leaf in card.leaves for name in leaf.packages})
    workflow.__materials__ = (describe_model(card),)
    software = " and ".join(_SOFTWARE[name] for name in reversed(workflow.__packages__))
    workflow.__desc__ = (
        f"Lesions were segmented on {' and '.join(contrasts)} with the model {card.name} in "
        f"{software} (intensities standardized inside the brain, {card.spacing[0]:g} mm"
        f"{', averaged with the prediction on the mirrored images' if mirror else ''}). "
        f"{_describe_method(card, contrasts)}The lesion mask contains voxels with a probability of at "
        f"least {card.threshold:g} in 26-connected components of at least "
        f"{card.min_component_mm3:g} mm³."
    )
    fields = ["brain"] if earlier_probability else ["images", "brain"]
    inputnode = identity("inputnode", fields)
    outputnode = identity("outputnode", ["probability", "lesion"])
    if earlier_probability:
        imported = ImportProbability(in_file=str(earlier_probability))
        segment = Node(imported, name="earlier_probability")
    else:
        segmented = Segment(
            model=str(card.path),
            identity=card.identity(),
            contrasts=list(contrasts),
            mirror=mirror,
        )
        segment = Node(on_device(segmented, device), name="segment")
    threshold = Node(
        Threshold(threshold=card.threshold, min_component_mm3=card.min_component_mm3),
        name="threshold",
    )
    workflow.connect([
        (inputnode, segment, [(field, field) for field in fields]),
        (segment, threshold, [("probability", "probability")]),
        (segment, outputnode, [("probability", "probability")]),
        (threshold, outputnode, [("out_mask", "lesion")]),
    ])  # fmt: skip
    return workflow


def describe_model(card: Card | Ensemble) -> str:
    """Describe the weights of a model, with the citations of the card and of its members."""
    citations = dict.fromkeys([card.citation, *(leaf.citation for leaf in card.leaves)])
    model = f"Model {card.name}, weights {card.sha256[:12]}. License: {card.licence}."
    return " ".join(" ".join([model, *citations]).split())


def _describe_method(card: Card | Ensemble, contrasts: Sequence[str]) -> str:
    """Describe published methods that a model applies; the sentences end with a space."""
    calibration = card.calibration_for(contrasts)
    text = ""
    if any(leaf.is_nnunet for leaf in card.leaves):
        text += "Preprocessing and inference follow nnU-Net [@nnunet]. "
    if calibration.temperature != 1:
        text += "Probabilities were calibrated by temperature scaling [@temperature]. "
    if calibration.volume:
        text += "Intervals of the lesion volume are split-conformal [@conformal]. "
    return text


def init_supplied_lesion_wf(
    *,
    mask: SuppliedMask,
    source: Path,
    orientation: str | None = None,
    corrected: bool = False,
    name: str = "supplied_lesion_wf",
) -> LesionWorkflow:
    """Import a user-supplied lesion mask.

    Parameters
    ----------
    mask : SuppliedMask
    source : Path
        Raw image that the mask was drawn on, named in error messages.
    orientation : {"RAS", "LAS"} or None
        Assumed orientation of a mask whose header defines none
    corrected : bool
        Whether the mask is a correction of the mask of a model.

    Inputs
    ------
    image
        Image that the mask was drawn on, in RAS order

    Outputs
    -------
    lesion
        Lesion mask on the grid of that image
    """
    workflow = LesionWorkflow(name=name)
    workflow.__desc__ = (
        "A rater corrected the lesion mask, and the corrected mask was used in all further steps."
        if corrected
        else f"Lesion masks were supplied by the user, drawn on the {mask.space} image."
    )
    inputnode = identity("inputnode", ["image"])
    outputnode = identity("outputnode", ["lesion"])
    supplied = ImportLesionMask(mask_file=str(mask.path), source=str(source), orientation=orientation)
    import_mask = Node(supplied, name="import_mask")
    workflow.connect([
        (inputnode, import_mask, [("image", "in_file")]),
        (import_mask, outputnode, [("out_mask", "lesion")]),
    ])  # fmt: skip
    return workflow


def init_lesion_resampling_wf(
    *, probability: bool = True, name: str = "lesion_resampling_wf"
) -> LesionWorkflow:
    """Resample the lesion to the grid of another contrast.

    Parameters
    ----------
    probability : bool
        Whether there is a lesion probability map.

    Inputs
    ------
    probability
        Lesion probability
    lesion
        Lesion mask
    reference
        Image on the other grid
    transform
        Transform to the other image

    Outputs
    -------
    probability
        Lesion probability on the other grid
    lesion
        Lesion mask on the other grid
    """
    workflow = LesionWorkflow(name=name)
    kinds = {"lesion": "mask"} | ({"probability": "probability"} if probability else {})
    inputnode = identity("inputnode", [*kinds, "reference", "transform"])
    outputnode = identity("outputnode", kinds)
    transforms = Node(Merge(1), name="transforms")
    workflow.connect([(inputnode, transforms, [("transform", "in1")])])
    for field, kind in kinds.items():
        apply = Node(Apply(kind=kind), name=field)
        workflow.connect([
            (inputnode, apply, [(field, "in_file"), ("reference", "reference")]),
            (transforms, apply, [("out", "transforms")]),
            (apply, outputnode, [("out_file", field)]),
        ])  # fmt: skip
    return workflow


def add_lesion(
    workflow: LesionWorkflow,
    names: Derivatives,
    used: Sequence[str],
    coregistered: Mapping[str, LesionWorkflow],
    device: str,
    mirror: bool,
    earlier: Segmentation | None,
) -> tuple[LesionWorkflow, LesionWorkflow]:
    """Connect the segmentation, the user-supplied mask or the corrected mask.

    Return the workflow whose output is the lesion on the grid on which it was segmented or drawn, and
    the workflow whose output is the lesion on the grid of the reference image.
    """
    session = names.session
    if names.card:
        lesion_wf = init_lesion_wf(
            card=names.card,
            contrasts=used,
            device=device,
            mirror=mirror,
            earlier_probability=earlier.probability if earlier else None,
        )
        reference_wf = workflow.get_node("reference_wf")
        prepared = None if earlier else {session.reference: reference_wf, **coregistered}
        _add_segmentation(workflow, lesion_wf, prepared, used)
    if session.lesion is None:
        return lesion_wf, lesion_wf
    drawn_wf = init_supplied_lesion_wf(
        mask=session.lesion,
        source=session.images[session.drawn_on],
        orientation=names.orientation,
        corrected=session.correction is not None,
    )
    return drawn_wf, _add_supplied_lesion(workflow, drawn_wf, coregistered.get(session.drawn_on))


def _add_segmentation(
    workflow: LesionWorkflow,
    lesion_wf: LesionWorkflow,
    prepared: Mapping[str, LesionWorkflow] | None,
    used: Sequence[str],
) -> None:
    """Connect the brain mask and the contrasts that the model uses, in the order of its channels.

    ``prepared`` is None if the lesion probability of an earlier run is used.
    """
    reference_wf = workflow.get_node("reference_wf")
    workflow.connect([(reference_wf, lesion_wf, [("outputnode.brain", "inputnode.brain")])])
    if prepared is None:
        return
    images = Node(Merge(len(used)), name="images")
    for place, contrast in enumerate(used, 1):
        wf = prepared[contrast]
        field = "preproc" if wf.name == "reference_wf" else "on_reference"
        workflow.connect([(wf, images, [(f"outputnode.{field}", f"in{place}")])])
    workflow.connect([(images, lesion_wf, [("out", "inputnode.images")])])


def _add_supplied_lesion(
    workflow: LesionWorkflow,
    supplied_wf: LesionWorkflow,
    coregistration_wf: LesionWorkflow | None,
) -> LesionWorkflow:
    """Connect a user-supplied lesion mask, drawn on the reference image or on another contrast.

    Return the workflow whose output is the mask on the grid of the reference.
    """
    reference_wf = workflow.get_node("reference_wf")
    if coregistration_wf is None:
        workflow.connect([(reference_wf, supplied_wf, [("outputnode.conformed", "inputnode.image")])])
        return supplied_wf
    lesion_wf = init_lesion_resampling_wf(probability=False, name="reference_lesion_wf")
    workflow.connect([
        (coregistration_wf, supplied_wf, [("outputnode.preproc", "inputnode.image")]),
        (supplied_wf, lesion_wf, [("outputnode.lesion", "inputnode.lesion")]),
        (reference_wf, lesion_wf, [("outputnode.conformed", "inputnode.reference")]),
        (coregistration_wf, lesion_wf, [("outputnode.to_reference", "inputnode.transform")]),
    ])  # fmt: skip
    return lesion_wf
