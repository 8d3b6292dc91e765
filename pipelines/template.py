"""To the templates and back, without being led by the lesion."""

from nipype.interfaces.utility import Merge
from nipype.pipeline.engine import Node

from bids_stroke.interfaces.registration import Apply, Normalize, Template
from bids_stroke.spaces import DEFAULT

from .engine import LesionWorkflow, identity

_METHODS = {
    "enantiomorphic": "the lesion replaced by the mirrored tissue of the other hemisphere [@nachev]",
    "masked": "the lesion excluded from the cost function [@brett]",
}
_MOVED = {"preproc": "image", "brain": "mask", "lesion": "mask", "probability": "probability"}


def init_template_wf(*, normalization, name="template_wf"):
    """Normalize a session to the default template, and divide the brain into hemispheres.

    Parameters
    ----------
    normalization : {"masked", "enantiomorphic"}

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
    inputnode = identity("inputnode", _MOVED)
    fields = ["to_template", "from_template", *_MOVED, "template", "template_brain"]
    outputnode = identity("outputnode", [*fields, "side"])
    space_wf = init_space_wf(space=DEFAULT, normalization=normalization, name="space_wf")
    backward = Node(Merge(1), name="backward")
    side = Node(Apply(kind="labels"), name="side")
    workflow.connect([
        (inputnode, space_wf, [(field, f"inputnode.{field}") for field in _MOVED]),
        (space_wf, backward, [("outputnode.from_template", "in1")]),
        (space_wf, side, [("outputnode.template_side", "in_file")]),
        (inputnode, side, [("preproc", "reference")]),
        (backward, side, [("out", "transforms")]),
        (space_wf, outputnode, [(f"outputnode.{field}", field) for field in fields]),
        (side, outputnode, [("out_file", "side")]),
    ])  # fmt: skip
    return workflow


def init_space_wf(*, space, normalization, name):
    """Normalize a session to a template.

    Parameters
    ----------
    space : Space
    normalization : {"masked", "enantiomorphic"}

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
    template
        The template
    template_brain
        The template's brain mask
    template_side
        Hemispheres (-1 left, 1 right) of the template
    """
    workflow = LesionWorkflow(name=name)
    source = "[@mni2009]" if space == DEFAULT else "(from TemplateFlow [@templateflow])"
    workflow.__desc__ = (
        f"The brain was normalized to {space.name} {source} by symmetric diffeomorphic "
        f"registration [@syn] with {_METHODS[normalization]}."
    )
    inputnode = identity("inputnode", _MOVED)
    outputnode = identity(
        "outputnode",
        ["to_template", "from_template", *_MOVED, "template", "template_brain", "template_side"],
    )
    template = Node(Template(), name="template")
    if space != DEFAULT:
        template.inputs.t1w, template.inputs.brain = str(space.t1w), str(space.brain)
    normalize = Node(Normalize(method=normalization), name="normalize")
    forward = Node(Merge(1), name="forward")
    workflow.connect([
        (inputnode, normalize, [("preproc", "in_file"), ("brain", "brain"), ("lesion", "lesion")]),
        (template, normalize, [("t1w", "template"), ("brain", "template_brain")]),
        (normalize, forward, [("to_template", "in1")]),
        (normalize, outputnode, [
            ("to_template", "to_template"),
            ("from_template", "from_template"),
        ]),
        (template, outputnode, [
            ("t1w", "template"),
            ("brain", "template_brain"),
            ("side", "template_side"),
        ]),
    ])  # fmt: skip
    for field, kind in _MOVED.items():
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
