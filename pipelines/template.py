"""To the template and back, without being led by the lesion."""

from nipype.interfaces.utility import Merge
from nipype.pipeline.engine import Node

from bids_stroke.interfaces.registration import Apply, Normalize, Template
from bids_stroke.registration import TEMPLATE

from .engine import LesionWorkflow, identity


def init_template_wf(*, name="template_wf"):
    """Normalize a session to the template.

    Inputs
    ------
    preproc
        Bias-corrected reference image
    brain
        Brain mask
    lesion
        Lesion mask
    probability
        Lesion probability

    Outputs
    -------
    to_template
        Transform to the template
    from_template
        Transform back
    preproc
        Image on the template's grid
    brain
        Brain mask on the template's grid
    lesion
        Lesion mask on the template's grid
    probability
        Lesion probability on the template's grid
    side
        Hemispheres (-1 left, 1 right) on the grid of the reference image
    template
        The template
    template_brain
        The template's brain mask
    """
    workflow = LesionWorkflow(name=name)
    workflow.__desc__ = (
        f"The brain was normalized to {TEMPLATE} [@mni2009] by symmetric diffeomorphic "
        "registration [@syn] with the lesion excluded from the cost function [@brett]."
    )
    moved = ["preproc", "brain", "lesion", "probability"]
    inputnode = identity("inputnode", moved)
    outputnode = identity(
        "outputnode",
        ["to_template", "from_template", *moved, "side", "template", "template_brain"],
    )
    template = Node(Template(), name="template")
    normalize = Node(Normalize(), name="normalize")
    forward = Node(Merge(1), name="forward")
    backward = Node(Merge(1), name="backward")
    side = Node(Apply(kind="labels"), name="side")
    workflow.connect([
        (inputnode, normalize, [("preproc", "in_file"), ("brain", "brain"), ("lesion", "lesion")]),
        (normalize, forward, [("to_template", "in1")]),
        (normalize, backward, [("from_template", "in1")]),
        (template, side, [("side", "in_file")]),
        (inputnode, side, [("preproc", "reference")]),
        (backward, side, [("out", "transforms")]),
        (normalize, outputnode, [
            ("to_template", "to_template"),
            ("from_template", "from_template"),
        ]),
        (side, outputnode, [("out_file", "side")]),
        (template, outputnode, [("t1w", "template"), ("brain", "template_brain")]),
    ])  # fmt: skip
    kinds = {"preproc": "image", "brain": "mask", "lesion": "mask", "probability": "probability"}
    for field, kind in kinds.items():
        apply = Node(Apply(kind=kind), name=f"{field}_to_template")
        workflow.connect([
            (inputnode, apply, [(field, "in_file")]),
            (template, apply, [("t1w", "reference")]),
            (forward, apply, [("out", "transforms")]),
            (apply, outputnode, [("out_file", field)]),
        ])  # fmt: skip
        if field == "preproc":
            # The template is a brain: so is what is compared with it.
            workflow.connect([(inputnode, apply, [("brain", "mask")])])
    return workflow
