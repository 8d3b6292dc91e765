"""Outputs of a session: derivatives and figures of each step."""

from nipype.pipeline.engine import Node

from bids_stroke.interfaces.reports import BrainMaskFigure, FlickerFigure, LesionFigure, OverviewFigure
from bids_stroke.qc import image_quality
from bids_stroke.spatial.template_spaces import Space
from bids_stroke.spatial.templates import TEMPLATE

from .base import LesionWorkflow, identity
from .derivatives import Derivatives
from .figures import Figure, draw, draw_bias, draw_lesion, draw_tracts
from .slices import init_slices_wf

_RESOLUTION = {"Resolution": "1 mm isotropic, the grid of the template"}


def _connect_sinks(workflow: LesionWorkflow, inputnode: Node, sinks: dict[str, Node]) -> None:
    """Connect each sink to the field of the same name."""
    workflow.connect([(inputnode, sink, [(field, "in_file")]) for field, sink in sinks.items()])


def init_reference_outputs_wf(
    *, names: Derivatives, name: str = "reference_outputs_wf"
) -> LesionWorkflow:
    """Write the derivatives and figures on the grid of the reference image.

    Parameters
    ----------
    names : Derivatives

    Inputs
    ------
    conformed
        The reference image before bias correction
    preproc
        Bias-corrected reference image
    brain
        Brain mask
    lesion
        Lesion mask
    probability
        Lesion probability
    components
        Table of components
    quality
        Table of quality measures
    """
    workflow = LesionWorkflow(name=name)
    reference = names.session.reference
    raw = names.session.images[reference]
    space = {"space": reference}
    spatial_reference = {"SpatialReference": names.reference_uri(reference)}
    lesion_entities = {**space, "label": "L", "desc": names.desc}
    sinks = {
        "preproc": names.image_sink(
            reference, {}, {"SkullStripped": False, "Sources": names.sources(raw)}, raw=raw
        ),
        "brain": names.brain_sink(space, spatial_reference, raw=raw),
        **names.lesion_sinks(lesion_entities, spatial_reference, raw=raw),
        "components": names.components_sink(names.session.drawn_on),
        "quality": names.sink(
            "quality",
            "image_quality",
            names.path("morph", ".tsv", desc="quality"),
            image_quality.COLUMNS,
        ),
    }
    inputnode = identity("inputnode", ["conformed", *sinks])
    _connect_sinks(workflow, inputnode, sinks)
    fields = {"in_file": "conformed", "mask": "brain"}
    draw(workflow, names, Figure("brain", BrainMaskFigure(), fields, "brain", reference))
    draw_bias(workflow, names, reference)
    fields = {"in_file": "preproc", "lesion": "lesion", "brain": "brain"}
    interface = OverviewFigure(label=reference)
    draw(workflow, names, Figure("overview", interface, fields, "overview", reference))
    draw_lesion(workflow, names, reference)
    return workflow


def init_contrast_outputs_wf(*, names: Derivatives, contrast: str, name: str) -> LesionWorkflow:
    """Write the derivatives and figures on the grid of an additional contrast.

    Parameters
    ----------
    names : Derivatives
    contrast : str

    Inputs
    ------
    conformed
        The image before bias correction
    preproc
        Bias-corrected image
    reference_moved
        Bias-corrected reference image on this grid
    brain
        Brain mask on this grid
    lesion
        Lesion mask on this grid
    probability
        Lesion probability on this grid
    to_reference
        Transform to the reference image
    from_reference
        Transform from the reference image
    """
    workflow = LesionWorkflow(name=name)
    reference, raw = names.session.reference, names.session.images[contrast]
    space = {"space": contrast}
    spatial_reference = {"SpatialReference": names.reference_uri(contrast)}
    lesion_entities = {**space, "label": "L", "desc": names.desc}
    sources = {"Sources": names.sources(raw, names.session.images[reference])}
    transforms = {"to_reference": (contrast, reference), "from_reference": (reference, contrast)}
    sinks = {
        "preproc": names.image_sink(
            contrast,
            {},
            {"SkullStripped": False, "Sources": names.sources(raw)},
            place=contrast,
            raw=raw,
        ),
        "reference_moved": names.sink(
            "reference_moved",
            "reference_image",
            names.path(reference, **space, desc="preproc"),
            {"SkullStripped": False, **spatial_reference, **sources},
            place=contrast,
            raw=raw,
        ),
        "brain": names.brain_sink(space, spatial_reference, place=contrast, raw=raw),
        **names.lesion_sinks(lesion_entities, spatial_reference, place=contrast, raw=raw),
        **names.transform_sinks(transforms, ".mat", sources, place=contrast),
    }
    inputnode = identity("inputnode", ["conformed", *sinks])
    _connect_sinks(workflow, inputnode, sinks)
    draw_bias(workflow, names, contrast, contrast)
    draw_lesion(workflow, names, contrast, contrast)
    fields = {"fixed": "reference_moved", "moving": "preproc", "contour": "brain"}
    interface = FlickerFigure(labels=(reference, contrast))
    draw(workflow, names, Figure("alignment", interface, fields, "coreg", contrast, contrast))
    return workflow


def init_space_outputs_wf(*, names: Derivatives, space: Space, name: str) -> LesionWorkflow:
    """Write the derivatives, figures and transforms of a template space.

    Parameters
    ----------
    names : Derivatives
    space : Space

    Inputs
    ------
    preproc
        Bias-corrected brain on the template's grid
    brain
        Brain mask on the template's grid
    lesion
        Lesion mask on the template's grid
    probability
        Lesion probability on the template's grid
    to_template
        Transform to the template
    from_template
        Transform from the template
    template
        Template image
    template_brain
        Brain mask of the template
    """
    workflow = LesionWorkflow(name=name)
    reference = names.session.reference
    raw = {"Sources": names.sources(names.session.images[reference])}
    grid = {"space": space.name, "res": space.resolution}
    lesion_entities = {**grid, "label": "L", "desc": names.desc}
    resolution = {"Resolution": f"{space.resolution} mm isotropic, the grid of the template"}
    transforms = {"to_template": (reference, space.name), "from_template": (space.name, reference)}
    sinks = {
        "preproc": names.image_sink(
            reference, grid, {"SkullStripped": True, **resolution, **raw}, place=space.name
        ),
        "brain": names.brain_sink(grid, resolution, place=space.name),
        **names.lesion_sinks(lesion_entities, resolution, place=space.name),
        **names.transform_sinks(transforms, ".h5", raw, place=space.name),
    }
    inputnode = identity("inputnode", [*sinks, "template", "template_brain"])
    _connect_sinks(workflow, inputnode, sinks)
    interface = FlickerFigure(labels=(space.name, reference), coordinates="template")
    fields = {"fixed": "template", "moving": "preproc", "contour": "template_brain"}
    entities = {"space": space.name}
    figure = Figure("alignment", interface, fields, "mni", reference, space.name, entities)
    draw(workflow, names, figure)
    return workflow


def init_template_outputs_wf(
    *, names: Derivatives, name: str = "template_outputs_wf"
) -> LesionWorkflow:
    """Write the tables and figures on the grid of the default template.

    Parameters
    ----------
    names : Derivatives

    Inputs
    ------
    preproc
        Bias-corrected brain on the template's grid
    lesion
        Lesion mask on the template's grid
    tables
        List of tables: first of tracts, then of atlases
    template_brain
        Brain mask of the template
    """
    workflow = LesionWorkflow(name=name)
    reference = names.session.reference
    inputnode = identity("inputnode", ["preproc", "lesion", "tables", "template_brain"])
    _connect_sinks(workflow, inputnode, {"tables": names.table_sink()})
    fields = {"in_file": "preproc", "lesion": "lesion", "brain": "template_brain"}
    interface = LesionFigure(label=TEMPLATE, coordinates="template")
    draw(workflow, names, Figure("lesion", interface, fields, "lesionmni", reference))
    draw_tracts(workflow, names, "preproc", reference)
    return workflow


def init_supplied_outputs_wf(
    *, names: Derivatives, name: str = "supplied_outputs_wf"
) -> LesionWorkflow:
    """Write the derivatives and figures of a user-supplied lesion mask in a template space.

    Parameters
    ----------
    names : Derivatives

    Inputs
    ------
    lesion
        Lesion mask on the template's grid
    components
        Table of components
    tables
        List of tables: first of tracts, then of atlases
    background
        Image on the template's grid
    template_brain
        Brain mask of the template
    """
    workflow = LesionWorkflow(name=name)
    lesion_entities = {"space": TEMPLATE, "res": "1", "label": "L", "desc": names.desc}
    sinks = {
        **names.lesion_sinks(lesion_entities, _RESOLUTION, place=TEMPLATE),
        "components": names.components_sink(TEMPLATE, place=TEMPLATE),
        "tables": names.table_sink(),
    }
    inputnode = identity("inputnode", [*sinks, "background", "template_brain"])
    _connect_sinks(workflow, inputnode, sinks)
    fields = {"in_file": "background", "lesion": "lesion", "brain": "template_brain"}
    interface = LesionFigure(label=TEMPLATE, coordinates="template")
    draw(workflow, names, Figure("lesion", interface, fields, "ownmni", "mask"))
    interface = OverviewFigure(label=TEMPLATE, coordinates="template")
    draw(workflow, names, Figure("overview", interface, fields, "overview", "mask"))
    draw_tracts(workflow, names, "background", "mask")
    slices_wf = init_slices_wf(names=names, labels={"mask": TEMPLATE}, coordinates="template")
    workflow.connect([
        (inputnode, slices_wf, [
            ("background", "inputnode.mask"),
            ("template_brain", "inputnode.brain"),
            ("lesion", "inputnode.lesion"),
        ]),
    ])  # fmt: skip
    return workflow
