"""Lesion filling of the T1w image, for programs that expect a brain without lesions."""

from nipype.pipeline.engine import Node

from bids_stroke.interfaces.reports import FlickerFigure
from bids_stroke.interfaces.spatial import FillLesion

from .base import LesionWorkflow, identity
from .derivatives import Derivatives
from .figures import Figure, draw


def init_filling_wf(*, names: Derivatives, name: str = "filling_wf") -> LesionWorkflow:
    """Fill the lesion of the reference image with mirrored tissue; write the image and its figure.

    Parameters
    ----------
    names : Derivatives

    Inputs
    ------
    preproc
        Bias-corrected reference image
    brain
        Brain mask
    lesion
        Lesion mask
    to_template
        Transform to the template
    from_template
        Transform from the template to the image
    """
    workflow = LesionWorkflow(name=name)
    reference = names.session.reference
    raw = names.session.images[reference]
    workflow.__desc__ = (
        f"For other programs, the lesion in the {reference} image was filled with the mirrored tissue "
        "of the other hemisphere [@nachev], using the transforms of the normalization."
    )
    inputnode = identity("inputnode", ["preproc", "brain", "lesion", "to_template", "from_template"])
    fill = Node(FillLesion(), name="fill")
    path = names.path(reference, desc="lesionfilled")
    metadata = {"SkullStripped": False, "Sources": names.sources(raw)}
    sink = names.sink("filled", "filled_image", path, metadata, raw=raw)
    figure_inputs = identity("figure_inputs", ["preproc", "filled", "brain"])
    workflow.connect([
        (inputnode, fill, [
            ("preproc", "in_file"),
            ("brain", "brain"),
            ("lesion", "lesion"),
            ("to_template", "to_template"),
            ("from_template", "from_template"),
        ]),
        (fill, sink, [("out_file", "in_file"), ("volumes", "measured")]),
        (inputnode, figure_inputs, [("preproc", "preproc"), ("brain", "brain")]),
        (fill, figure_inputs, [("out_file", "filled")]),
    ])  # fmt: skip
    interface = FlickerFigure(labels=(reference, f"{reference} with the lesion filled"))
    fields = {"fixed": "preproc", "moving": "filled", "contour": "brain"}
    draw(
        workflow,
        names,
        Figure("filling", interface, fields, "lesionfilled", reference),
        "figure_inputs",
    )
    return workflow
