"""Workflow of the normalization to a template, without bias from the lesion."""

from nipype.interfaces.utility import Merge
from nipype.pipeline.engine import Node

from bids_stroke.interfaces.spatial import Apply, Normalize, Template
from bids_stroke.spatial.template_spaces import DEFAULT_SPACE, Space

from .base import ANTS, LesionWorkflow, identity

#: Citation of the default template.
MNI2009 = "[@mni2009] (from Nilearn [@nilearn])"
_METHODS = {
    "enantiomorphic": "the lesion replaced with the mirrored tissue of the other hemisphere [@nachev]",
    "masked": "the lesion excluded from the cost function [@brett]",
}


def init_template_wf(
    *,
    normalization: str,
    space: Space = DEFAULT_SPACE,
    probability: bool = True,
    name: str = "template_wf",
) -> LesionWorkflow:
    """Normalize a session to a template.

    Parameters
    ----------
    normalization : {"enantiomorphic", "masked"}
    space : Space
    probability : bool
        Whether there is a lesion probability map.

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
        Transform from the template
    preproc
        Image on the template's grid
    brain
        Brain mask on the template's grid
    lesion
        Lesion mask on the template's grid
    probability
        Lesion probability on the template's grid
    template
        Template image
    template_brain
        Brain mask of the template
    """
    workflow = LesionWorkflow(name=name)
    source = MNI2009 if space == DEFAULT_SPACE else "(from TemplateFlow [@templateflow])"
    workflow.__desc__ = (
        f"The brain was normalized to {space.name} {source} by symmetric diffeomorphic "
        f"registration [@syn] in ANTs [@antsx] with {_METHODS[normalization]}."
    )
    workflow.__packages__ = ANTS
    kinds = {"preproc": "image", "brain": "mask", "lesion": "mask"}
    if probability:
        kinds["probability"] = "probability"
    inputnode = identity("inputnode", kinds)
    outputnode = identity(
        "outputnode", ["to_template", "from_template", *kinds, "template", "template_brain"]
    )
    template = Node(Template(), name="template")
    if space != DEFAULT_SPACE:
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
        (template, outputnode, [("t1w", "template"), ("brain", "template_brain")]),
    ])  # fmt: skip
    for field, kind in kinds.items():
        apply = Node(Apply(kind=kind), name=f"{field}_to_template")
        workflow.connect([
            (inputnode, apply, [(field, "in_file")]),
            (template, apply, [("t1w", "reference")]),
            (forward, apply, [("out", "transforms")]),
            (apply, outputnode, [("out_file", field)]),
        ])  # fmt: skip
        if field == "preproc":
            # The template is skull-stripped, so the image is skull-stripped, too.
            workflow.connect([(inputnode, apply, [("brain", "mask")])])
    return workflow
