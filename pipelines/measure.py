"""From masks to numbers."""

from nipype.interfaces.utility import Merge
from nipype.pipeline.engine import Node

from bids_stroke.interfaces.atlas import RegionShares, TractLoads
from bids_stroke.interfaces.lesion import Measure
from bids_stroke.interfaces.quality import Quality

from .engine import LesionWorkflow, identity


def init_measure_wf(*, maps, probability=True, min_component_mm3=0.0, name="measure_wf"):
    """Measure the lesion of a session.

    Parameters
    ----------
    maps : Maps
    probability : bool
        Whether the lesion has probabilities.
    min_component_mm3 : float
        Smaller components of a probability are no lesion.

    Inputs
    ------
    lesion
        Lesion mask on the grid that it was found or drawn on
    probability
        Lesion probability, same grid
    transforms
        List of the transforms that carry points of that grid to the template
    lesion_template
        Lesion mask on the template's grid
    probability_template
        Lesion probability, same grid

    Outputs
    -------
    components
        Table of the components
    tables
        List of tables, of tracts and then of atlases
    """
    workflow = LesionWorkflow(name=name)
    workflow.__desc__ = (
        f"Lesion load was measured on {' and '.join(map(_cited, maps.cards))} as raw load [@zhu], "
        "fraction, weighted load [@feng] and largest slice load; the share of the lesion in each of "
        "four super-regions [@superregions] of gyri [@talairach], with cerebellum and brainstem "
        "[@neuromorphometrics], was measured as well."
    )
    with_probability = ["probability", "probability_template"] if probability else []
    inputnode = identity("inputnode", ["lesion", "transforms", "lesion_template", *with_probability])
    outputnode = identity("outputnode", ["components", "tables"])
    components = Node(Measure(), name="components")
    loads = Node(
        TractLoads(
            tracts=list(maps.tracts),
            cutoffs_ml=list(maps.cutoffs_ml or ()),
            min_component_mm3=float(min_component_mm3),
            identity=maps.identity(),
        ),
        name="loads",
    )
    shares = Node(RegionShares(atlases=[tuple(map(str, pair)) for pair in maps.atlases]), name="shares")
    tables = Node(Merge(2), name="tables")
    workflow.connect([
        (inputnode, components, [("lesion", "mask"), ("transforms", "transforms")]),
        (inputnode, loads, [("lesion_template", "lesion")]),
        (inputnode, shares, [("lesion_template", "lesion")]),
        (loads, tables, [("out_tables", "in1")]),
        (shares, tables, [("out_tables", "in2")]),
        (components, outputnode, [("out_table", "components")]),
        (tables, outputnode, [("out", "tables")]),
    ])  # fmt: skip
    if probability:
        workflow.connect([
            (inputnode, components, [("probability", "probability")]),
            (inputnode, loads, [("probability_template", "probability")]),
        ])  # fmt: skip
    return workflow


def _cited(card):
    own = " ".join(card.citation.split())
    reference = " [@tract]" if card.package else f" ({own})" if own else ""
    return f"the probability map of the {card.name}{reference}"


def init_quality_wf(*, name="quality_wf"):
    """Measure the quality of a session.

    Inputs
    ------
    preproc
        Bias-corrected reference image
    brain
        Brain mask
    preproc_template
        Reference image on the template's grid
    brain_template
        Brain mask on the template's grid
    template_brain
        The template's brain mask

    Outputs
    -------
    quality
        Table of image quality measures
    """
    workflow = LesionWorkflow(name=name)
    fields = ["preproc", "brain", "preproc_template", "brain_template", "template_brain"]
    inputnode = identity("inputnode", fields)
    outputnode = identity("outputnode", ["quality"])
    quality = Node(Quality(), name="quality")
    workflow.connect([
        (inputnode, quality, [
            ("preproc", "in_file"),
            ("brain", "brain"),
            ("preproc_template", "moved_image"),
            ("brain_template", "moved_brain"),
            ("template_brain", "template_brain"),
        ]),
        (quality, outputnode, [("out_table", "quality")]),
    ])  # fmt: skip
    return workflow
