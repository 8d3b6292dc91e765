"""Figures of a session, drawn from the fields of a node."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from nipype.interfaces.base import BaseInterface
from nipype.pipeline.engine import Node

from bids_stroke.interfaces.reports import FlickerFigure, LesionFigure, ProbabilityFigure, TractFigure
from bids_stroke.reports.figures.slices import AXIAL, CORONAL

from .base import LesionWorkflow
from .derivatives import Derivatives


@dataclass(frozen=True)
class Figure:
    """Interface, inputs and file name of a figure.

    ``fields`` maps inputs of the interface to fields of a node. ``desc``, ``suffix`` and
    ``entities`` define the file name. ``place`` is the contrast, template space or atlas of the
    figure (see :func:`bids_stroke.bids.record.role`). ``name`` is the prefix of the node names.
    """

    name: str
    interface: BaseInterface
    fields: Mapping[str, str]
    desc: str
    suffix: str
    place: str | None = None
    entities: Mapping[str, str] = field(default_factory=dict)


def draw(
    workflow: LesionWorkflow, names: Derivatives, figure: Figure, source: str = "inputnode"
) -> None:
    """Draw a figure from fields of the node ``source`` and write it."""
    node = Node(figure.interface, name=f"{figure.name}_figure")
    path = names.figure(figure.desc, figure.suffix, **figure.entities)
    kind = f"{figure.desc}_figure"
    sink = names.sink(f"{figure.name}_figure", kind, path, place=figure.place)
    source_node = workflow.get_node(source)
    workflow.connect([
        (source_node, node, [(field, target) for target, field in figure.fields.items()]),
        (node, sink, [("out_figure", "in_file")]),
    ])  # fmt: skip


def draw_bias(
    workflow: LesionWorkflow, names: Derivatives, contrast: str, place: str | None = None
) -> None:
    """Draw an image before and after bias correction."""
    labels = (f"{contrast} before bias correction", f"{contrast} after bias correction")
    fields = {"fixed": "conformed", "moving": "preproc", "contour": "brain"}
    # The bias field is smooth, so that two planes show it.
    interface = FlickerFigure(labels=labels, planes=[AXIAL, CORONAL])
    draw(workflow, names, Figure("bias", interface, fields, "bias", contrast, place))


def draw_lesion(
    workflow: LesionWorkflow, names: Derivatives, contrast: str, place: str | None = None
) -> None:
    """Draw the lesion and, if available, its probability on an image of the session."""
    fields = {"in_file": "preproc", "lesion": "lesion", "brain": "brain"}
    interface = LesionFigure(label=contrast)
    draw(workflow, names, Figure("lesion", interface, fields, "lesion", contrast, place))
    if names.has_probability and contrast == names.session.reference:
        fields = {**fields, "probability": "probability"}
        interface = ProbabilityFigure(label=contrast)
        draw(workflow, names, Figure("probability", interface, fields, "probability", contrast, place))


def draw_tracts(workflow: LesionWorkflow, names: Derivatives, background: str, suffix: str) -> None:
    """Draw the lesion and each tract on an image in template space."""
    fields = {"in_file": background, "lesion": "lesion"}
    for tract, card in zip(names.maps.tracts, names.maps.cards, strict=True):
        name = f"tract_{card.atlas.lower()}"
        interface = TractFigure(tract=tract, identity=names.maps.identity())
        entities = {"atlas": card.atlas}
        figure = Figure(name, interface, fields, "tract", suffix, card.atlas, entities)
        draw(workflow, names, figure)
