"""Outputs of a session with a corrected lesion mask: mask of the model, and agreement of both masks."""

from nipype.pipeline.engine import Node

from bids_stroke.evaluation import correction
from bids_stroke.interfaces.evaluation import CompareCorrection
from bids_stroke.interfaces.reports import CorrectionFigure, ProbabilityFigure

from .base import LesionWorkflow, identity
from .derivatives import Derivatives
from .figures import Figure, draw


def init_correction_wf(*, names: Derivatives, name: str = "correction_wf") -> LesionWorkflow:
    """Write the mask and probability of the model, and compare them with the corrected mask.

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
        Corrected lesion mask
    model
        Lesion mask of the model
    probability
        Lesion probability of the model
    """
    workflow = LesionWorkflow(name=name)
    reference = names.session.reference
    raw = names.session.images[reference]
    spatial_reference = {"SpatialReference": names.reference_uri(reference)}
    inputnode = identity("inputnode", ["preproc", "brain", "lesion", "model", "probability"])
    compare = Node(CompareCorrection(), name="compare")
    path = names.path("morph", ".tsv", space=reference, label="L", desc="agreement")
    agreement = names.sink("agreement", "agreement", path, correction.COLUMNS)
    workflow.connect([
        (inputnode, compare, [("model", "model"), ("lesion", "lesion")]),
        (compare, agreement, [("out_table", "in_file")]),
    ])  # fmt: skip
    for field, kind, suffix in (
        ("model", "model_lesion_mask", "mask"),
        ("probability", "model_lesion_probability", "probseg"),
    ):
        path = names.path(suffix, space=reference, label="L", desc=names.model_desc)
        sink = names.sink(field, kind, path, names.model_lesion(**spatial_reference), raw=raw)
        workflow.connect([(inputnode, sink, [(field, "in_file")])])
    fields = {"in_file": "preproc", "lesion": "lesion", "brain": "brain", "model": "model"}
    interface = CorrectionFigure(label=reference)
    draw(workflow, names, Figure("correction", interface, fields, "correction", reference))
    fields = {"in_file": "preproc", "lesion": "model", "brain": "brain", "probability": "probability"}
    interface = ProbabilityFigure(label=reference)
    draw(workflow, names, Figure("probability", interface, fields, "probability", reference))
    return workflow


def add_correction(workflow: LesionWorkflow, names: Derivatives, lesion_wf: LesionWorkflow) -> None:
    """Connect the comparison of the corrected mask with the mask of the model."""
    correction_wf = init_correction_wf(names=names)
    workflow.connect([
        (workflow.get_node("reference_wf"), correction_wf, [
            ("outputnode.preproc", "inputnode.preproc"),
            ("outputnode.brain", "inputnode.brain"),
        ]),
        (lesion_wf, correction_wf, [("outputnode.lesion", "inputnode.lesion")]),
        (workflow.get_node("lesion_wf"), correction_wf, [
            ("outputnode.lesion", "inputnode.model"),
            ("outputnode.probability", "inputnode.probability"),
        ]),
    ])  # fmt: skip
