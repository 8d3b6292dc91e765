"""From masks to numbers."""

from nipype.pipeline.engine import Node

from bids_stroke.interfaces.atlas import TractLoad
from bids_stroke.interfaces.lesion import Measure
from bids_stroke.interfaces.quality import Quality

from .engine import LesionWorkflow, identity


def init_measure_wf(*, tract, name="measure_wf"):
    """Measure the lesion and the quality of a session.

    Parameters
    ----------
    tract : TractCard
        For the methods section.

    Inputs
    ------
    lesion
        Lesion mask on the grid of the reference image
    probability
        Lesion probability, same grid
    side
        Hemispheres, same grid
    preproc
        Bias-corrected reference image
    brain
        Brain mask
    lesion_template
        Lesion mask on the template's grid
    preproc_template
        Reference image on the template's grid
    brain_template
        Brain mask on the template's grid
    template_brain
        The template's brain mask

    Outputs
    -------
    components
        Table of the components
    loads
        Table of the tract loads
    quality
        Table of image quality measures
    """
    workflow = LesionWorkflow(name=name)
    workflow.__desc__ = (
        "Lesion load was measured on the probability map of the "
        f"{tract.name} [@tract] as raw load [@zhu], fraction, weighted load [@feng] and "
        "largest slice load."
    )
    measured = ["lesion", "probability", "side", "preproc", "brain"]
    on_template = ["lesion_template", "preproc_template", "brain_template", "template_brain"]
    inputnode = identity("inputnode", [*measured, *on_template])
    outputnode = identity("outputnode", ["components", "loads", "quality"])
    components = Node(Measure(), name="components")
    loads = Node(TractLoad(), name="loads")
    quality = Node(Quality(), name="quality")
    workflow.connect([
        (inputnode, components, [
            ("lesion", "mask"),
            ("probability", "probability"),
            ("side", "side"),
        ]),
        (inputnode, loads, [("lesion_template", "lesion")]),
        (inputnode, quality, [
            ("preproc", "in_file"),
            ("brain", "brain"),
            ("preproc_template", "moved_image"),
            ("brain_template", "moved_brain"),
            ("template_brain", "template_brain"),
        ]),
        (components, outputnode, [("out_table", "components")]),
        (loads, outputnode, [("out_table", "loads")]),
        (quality, outputnode, [("out_table", "quality")]),
    ])  # fmt: skip
    return workflow
