"""Figures of axial slices of all contrasts in the space of the reference image."""

from collections.abc import Mapping

from nipype.pipeline.engine import Node

from bids_stroke.interfaces.atlases import MoveTracts
from bids_stroke.interfaces.reports import AxialFigure
from bids_stroke.reports.figures.slices import Coordinates

from .base import LesionWorkflow, identity
from .derivatives import Derivatives
from .figures import Figure, draw


def init_slices_wf(
    *,
    names: Derivatives,
    labels: Mapping[str, str],
    coordinates: Coordinates = "scanner",
    name: str = "slices_wf",
) -> LesionWorkflow:
    """Draw axial slices of images in the same space, with lesion, probability and tracts.

    Parameters
    ----------
    names : Derivatives
    labels : mapping of str to str
        Label of each image by the suffix of its figure; the first is the reference image.
    coordinates : {"scanner", "template"}
        Kind of the world coordinates

    Inputs
    ------
    T1w, FLAIR
        Image of each label, by the suffix of its figure
    brain
        Brain mask
    lesion
        Lesion mask
    probability
        Lesion probability, if available
    from_template
        Transform from the template to the images, unless they are in the template
    """
    workflow = LesionWorkflow(name=name)
    fields = ["brain", "lesion", *(["probability"] if names.has_probability else [])]
    transform = ["from_template"] if coordinates == "scanner" else []
    inputnode = identity("inputnode", [*labels, *fields, *transform])
    tracts = Node(
        MoveTracts(tracts=list(names.maps.tracts), identity=names.maps.identity()), name="tracts"
    )
    figure_inputs = identity("figure_inputs", [*labels, *fields, "tracts"])
    workflow.connect([
        (inputnode, tracts, [("brain", "in_file"), *((name, name) for name in transform)]),
        (inputnode, figure_inputs, [(field, field) for field in (*labels, *fields)]),
        (tracts, figure_inputs, [("out_files", "tracts")]),
    ])  # fmt: skip
    reference, *_ = labels
    titles = [card.name for card in names.maps.cards]
    for suffix, label in labels.items():
        interface = AxialFigure(label=label, names=titles, coordinates=coordinates)
        images = {"in_file": suffix, "tracts": "tracts", **{field: field for field in fields}}
        place = None if suffix == reference else suffix
        figure = Figure(f"{suffix.lower()}_axial", interface, images, "axial", suffix, place)
        draw(workflow, names, figure, "figure_inputs")
    return workflow


def add_slices(
    workflow: LesionWorkflow,
    names: Derivatives,
    lesion_wf: LesionWorkflow,
    coregistered: Mapping[str, LesionWorkflow],
) -> None:
    """Connect the figures of axial slices to the workflow of a session.

    Parameters
    ----------
    workflow : LesionWorkflow
    names : Derivatives
    lesion_wf : LesionWorkflow
        Workflow whose output is the lesion on the grid of the reference image.
    coregistered : mapping of str to LesionWorkflow
        Coregistration of each additional contrast to the reference image.
    """
    reference = names.session.reference
    slices_wf = init_slices_wf(names=names, labels={name: name for name in (reference, *coregistered)})
    fields = ["lesion", "probability"] if names.has_probability else ["lesion"]
    workflow.connect([
        (workflow.get_node("reference_wf"), slices_wf, [
            ("outputnode.preproc", f"inputnode.{reference}"),
            ("outputnode.brain", "inputnode.brain"),
        ]),
        (lesion_wf, slices_wf, [(f"outputnode.{field}", f"inputnode.{field}") for field in fields]),
        (workflow.get_node("template_wf"), slices_wf, [
            ("outputnode.from_template", "inputnode.from_template"),
        ]),
    ])  # fmt: skip
    for contrast, coregistration_wf in coregistered.items():
        moved = ("outputnode.on_reference", f"inputnode.{contrast}")
        workflow.connect([(coregistration_wf, slices_wf, [moved])])
