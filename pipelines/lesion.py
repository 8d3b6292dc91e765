"""From brains to the lesion mask."""

from nipype.interfaces.utility import Merge
from nipype.pipeline.engine import Node

from bids_stroke.interfaces.lesion import Threshold
from bids_stroke.interfaces.models import Segment
from bids_stroke.interfaces.registration import Apply

from .engine import LesionWorkflow, identity, on_device


def init_lesion_wf(*, card, contrasts, device, mirror=False, name="lesion_wf"):
    """Segment the lesion.

    Parameters
    ----------
    card : Card
    contrasts : sequence of str
        The contrasts that the model uses, in the order of ``images``.
    device : str
    mirror : bool
        Average with the prediction of the mirrored head

    Inputs
    ------
    images
        List of bias-corrected images on the grid of the reference, in the order of ``contrasts``
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
    workflow.__desc__ = (
        f"Lesions were segmented on {' and '.join(contrasts)} with the model {card.name} "
        f"(intensities standardized inside the brain, {card.spacing[0]:g} mm"
        f"{', averaged with the mirrored head' if mirror else ''}), and kept where the "
        f"probability was at least {card.threshold:g} in 26-connected components of at least "
        f"{card.min_component_mm3:g} mm³."
    )
    inputnode = identity("inputnode", ["images", "brain"])
    outputnode = identity("outputnode", ["probability", "lesion"])
    segment = Node(
        on_device(
            Segment(
                model=str(card.path),
                identity=card.identity(),
                contrasts=list(contrasts),
                mirror=mirror,
            ),
            device,
        ),
        name="segment",
    )
    threshold = Node(
        Threshold(threshold=card.threshold, min_component_mm3=card.min_component_mm3),
        name="threshold",
    )
    workflow.connect([
        (inputnode, segment, [("images", "images"), ("brain", "brain")]),
        (segment, threshold, [("probability", "probability")]),
        (segment, outputnode, [("probability", "probability")]),
        (threshold, outputnode, [("out_mask", "lesion")]),
    ])  # fmt: skip
    return workflow


def init_other_grid_wf(*, name):
    """Bring the lesion to the grid of another contrast.

    Inputs
    ------
    probability
        Lesion probability
    lesion
        Lesion mask
    reference
        Image on the other grid
    transform
        Transform to it

    Outputs
    -------
    probability
        Lesion probability on the other grid
    lesion
        Lesion mask on the other grid
    """
    workflow = LesionWorkflow(name=name)
    inputnode = identity("inputnode", ["probability", "lesion", "reference", "transform"])
    outputnode = identity("outputnode", ["probability", "lesion"])
    transforms = Node(Merge(1), name="transforms")
    probability = Node(Apply(kind="probability"), name="probability")
    lesion = Node(Apply(kind="mask"), name="lesion")
    workflow.connect([
        (inputnode, transforms, [("transform", "in1")]),
        (inputnode, probability, [("probability", "in_file"), ("reference", "reference")]),
        (inputnode, lesion, [("lesion", "in_file"), ("reference", "reference")]),
        (transforms, probability, [("out", "transforms")]),
        (transforms, lesion, [("out", "transforms")]),
        (probability, outputnode, [("out_file", "probability")]),
        (lesion, outputnode, [("out_file", "lesion")]),
    ])  # fmt: skip
    return workflow
