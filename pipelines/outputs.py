"""What a session leaves behind: derivatives, sidecars and figures, under their final names."""

from nipype.pipeline.engine import Node

from bids_stroke.bids.derivatives import uri
from bids_stroke.bids.names import derivative, description_of
from bids_stroke.interfaces.bids import Sink, SinkTables
from bids_stroke.interfaces.reports import (
    BrainMaskFigure,
    FlickerFigure,
    LesionFigure,
    ProbabilityFigure,
    TractFigure,
)
from bids_stroke.lesion import measurements
from bids_stroke.qc import image_quality
from bids_stroke.spatial.templates import TEMPLATE

from .engine import LesionWorkflow, identity

_MNI = {"space": TEMPLATE, "res": "1"}
_RESOLUTION = {"Resolution": "1 mm isotropic, the grid of the template"}


class Names:
    """Names and sidecars of the derivatives of one session; ``card`` is None for own masks."""

    def __init__(self, *, session, card, contrasts, maps, bids_dir, output_dir):
        self.session, self.card, self.maps = session, card, maps
        self.bids_dir, self.output_dir = bids_dir, output_dir
        self.has_probability = card is not None
        self.desc = description_of(contrasts)
        self.used = [session.images[contrast] for contrast in contrasts]
        self.folder = output_dir / session.folder
        self.figures = output_dir / f"sub-{session.subject}" / "figures"

    def path(self, suffix, extension=".nii.gz", **entities):
        return self.folder / derivative(self.session.name, suffix, extension, **entities)

    def figure(self, desc, suffix, **entities):
        return self.figures / derivative(self.session.name, suffix, ".svg", desc=desc, **entities)

    def sources(self, *paths):
        return [uri(path, self.bids_dir, self.output_dir) for path in paths]

    def reference_uri(self, contrast):
        """What ``SpatialReference`` of a space that is no template points to."""
        return self.sources(self.session.images[contrast])[0]

    def brain(self, **more):
        reference = self.session.reference
        return {
            "Type": "Brain",
            "RawSources": self.sources(self.session.images[reference]),
            "Sources": self.sources(self.session.images[reference]),
            **more,
        }

    def lesion(self, **more):
        if self.session.lesion:
            return {"Type": "Lesion", "Sources": self.sources(self.session.lesion.path), **more}
        return {
            "Type": "Lesion",
            "Sources": self.sources(*self.used),
            "Threshold": self.card.threshold,
            "MinimumComponentVolume": self.card.min_component_mm3,
            "Model": self.card.name,
            "ModelWeightsSHA256": self.card.sha256,
            **more,
        }


def _sink(name, path, metadata=None, raw=None):
    node = Node(Sink(out_file=str(path), metadata=metadata or {}), name=name)
    if raw:
        node.inputs.raw = str(raw)
    return node


def _lesion_sinks(names, found, metadata, raw=None):
    """Sinks of the lesion mask, and of its probability where there is one."""
    described = names.lesion(**metadata)
    sinks = {"lesion": _sink("ds_lesion", names.path("mask", **found), described, raw)}
    if names.has_probability:
        sinks["probability"] = _sink("ds_probability", names.path("probseg", **found), described, raw)
    return sinks


def _keep(workflow, inputnode, sinks):
    """Feed each sink from the field of its name."""
    workflow.connect([(inputnode, sink, [(field, "in_file")]) for field, sink in sinks.items()])


def _draw(workflow, inputnode, out, name, interface, **fields):
    """Draw a figure from fields of ``inputnode`` (input of the interface to field), and keep it."""
    figure = Node(interface, name=f"{name}_figure")
    workflow.connect([
        (inputnode, figure, [(field, to) for to, field in fields.items()]),
        (figure, _sink(f"ds_{name}_figure", out), [("out_figure", "in_file")]),
    ])  # fmt: skip


def _draw_bias(workflow, inputnode, names, contrast):
    labels = (f"{contrast} before bias correction", f"{contrast} after bias correction")
    out = names.figure("bias", contrast)
    fields = {"fixed": "conformed", "moving": "preproc", "contour": "brain"}
    _draw(workflow, inputnode, out, "bias", FlickerFigure(labels=labels), **fields)


def _draw_lesion(workflow, inputnode, names, contrast):
    """Draw the lesion, and its probability where there is one, on an image of the session."""
    fields = {"in_file": "preproc", "lesion": "lesion", "brain": "brain"}
    out = names.figure("lesion", contrast)
    _draw(workflow, inputnode, out, "lesion", LesionFigure(label=contrast), **fields)
    if names.has_probability and contrast == names.session.reference:
        out = names.figure("probability", contrast)
        fields["probability"] = "probability"
        _draw(workflow, inputnode, out, "probability", ProbabilityFigure(label=contrast), **fields)


def _draw_tracts(workflow, inputnode, names, background, suffix):
    """Draw the lesion over each tract, on an image in template space."""
    for tract, card in zip(names.maps.tracts, names.maps.cards, strict=True):
        out = names.figure("tract", suffix, atlas=card.atlas)
        interface = TractFigure(tract=tract, identity=names.maps.identity())
        fields = {"in_file": background, "lesion": "lesion"}
        _draw(workflow, inputnode, out, f"tract_{card.atlas.lower()}", interface, **fields)


def _tables(names):
    """Sink of the tables of tracts and atlases."""
    found = {"space": TEMPLATE, "label": "L", "desc": names.desc}
    columns = names.maps.columns
    paths = [str(names.path("morph", ".tsv", atlas=label, **found)) for label in columns]
    return Node(SinkTables(out_file=paths, metadata=list(columns.values())), name="ds_tables")


def init_reference_outputs_wf(*, names, name="reference_outputs_wf"):
    """Keep what lies on the grid of the reference image.

    Parameters
    ----------
    names : Names

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
    where = {"SpatialReference": names.reference_uri(reference)}
    found = {**space, "label": "L", "desc": names.desc}
    sinks = {
        "preproc": _sink(
            "ds_preproc",
            names.path(reference, desc="preproc"),
            {"SkullStripped": False, "Sources": names.sources(raw)},
            raw,
        ),
        "brain": _sink(
            "ds_brain", names.path("mask", **space, desc="brain"), names.brain(**where), raw
        ),
        **_lesion_sinks(names, found, where, raw),
        "components": _sink(
            "ds_components",
            names.path("morph", ".tsv", **found | {"space": names.session.drawn_on}),
            measurements.COLUMNS,
        ),
        "quality": _sink(
            "ds_quality", names.path("morph", ".tsv", desc="quality"), image_quality.COLUMNS
        ),
    }
    inputnode = identity("inputnode", ["conformed", *sinks])
    _keep(workflow, inputnode, sinks)
    out = names.figure("brain", reference)
    _draw(workflow, inputnode, out, "brain", BrainMaskFigure(), in_file="conformed", mask="brain")
    _draw_bias(workflow, inputnode, names, reference)
    _draw_lesion(workflow, inputnode, names, reference)
    return workflow


def init_contrast_outputs_wf(*, names, contrast, name):
    """Keep what lies on the grid of a further contrast.

    Parameters
    ----------
    names : Names
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
        Its inverse
    """
    workflow = LesionWorkflow(name=name)
    reference, raw = names.session.reference, names.session.images[contrast]
    space = {"space": contrast}
    where = {"SpatialReference": names.reference_uri(contrast)}
    found = {**space, "label": "L", "desc": names.desc}
    sources = {"Sources": names.sources(raw, names.session.images[reference])}
    transforms = {"to_reference": (contrast, reference), "from_reference": (reference, contrast)}
    sinks = {
        "preproc": _sink(
            "ds_preproc",
            names.path(contrast, desc="preproc"),
            {"SkullStripped": False, "Sources": names.sources(raw)},
            raw,
        ),
        "reference_moved": _sink(
            "ds_reference_moved",
            names.path(reference, **space, desc="preproc"),
            {"SkullStripped": False, **where, **sources},
            raw,
        ),
        "brain": _sink(
            "ds_brain", names.path("mask", **space, desc="brain"), names.brain(**where), raw
        ),
        **_lesion_sinks(names, found, where, raw),
    }
    for field, (moving, fixed) in transforms.items():
        stem = f"{names.session.name}_from-{moving}_to-{fixed}_mode-image_xfm.mat"
        sinks[field] = _sink(f"ds_{field}", names.folder / stem, sources)
    inputnode = identity("inputnode", ["conformed", *sinks])
    _keep(workflow, inputnode, sinks)
    _draw_bias(workflow, inputnode, names, contrast)
    _draw_lesion(workflow, inputnode, names, contrast)
    figure = FlickerFigure(labels=(reference, contrast))
    fields = {"fixed": "reference_moved", "moving": "preproc", "contour": "brain"}
    _draw(workflow, inputnode, names.figure("coreg", contrast), "alignment", figure, **fields)
    return workflow


def init_space_outputs_wf(*, names, space, name):
    """Keep what lies on a template's grid, and the transforms.

    Parameters
    ----------
    names : Names
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
        Transform back
    template
        The template
    template_brain
        The template's brain mask
    """
    workflow = LesionWorkflow(name=name)
    reference = names.session.reference
    raw = {"Sources": names.sources(names.session.images[reference])}
    grid = {"space": space.name, "res": space.resolution}
    resolution = {"Resolution": f"{space.resolution} mm isotropic, the grid of the template"}
    xfm = names.session.name + "_from-{}_to-{}_mode-image_xfm.h5"
    sinks = {
        "preproc": _sink(
            "ds_preproc",
            names.path(reference, **grid, desc="preproc"),
            {"SkullStripped": True, **resolution, **raw},
        ),
        "brain": _sink("ds_brain", names.path("mask", **grid, desc="brain"), names.brain(**resolution)),
        **_lesion_sinks(names, {**grid, "label": "L", "desc": names.desc}, resolution),
        "to_template": _sink("ds_to_template", names.folder / xfm.format(reference, space.name), raw),
        "from_template": _sink(
            "ds_from_template", names.folder / xfm.format(space.name, reference), raw
        ),
    }
    inputnode = identity("inputnode", [*sinks, "template", "template_brain"])
    _keep(workflow, inputnode, sinks)
    figure = FlickerFigure(labels=(space.name, reference))
    fields = {"fixed": "template", "moving": "preproc", "contour": "template_brain"}
    out = names.figure("mni", reference, space=space.name)
    _draw(workflow, inputnode, out, "alignment", figure, **fields)
    return workflow


def init_template_outputs_wf(*, names, name="template_outputs_wf"):
    """Keep what is measured on the default template.

    Parameters
    ----------
    names : Names

    Inputs
    ------
    preproc
        Bias-corrected brain on the template's grid
    lesion
        Lesion mask on the template's grid
    tables
        List of tables, of tracts and then of atlases
    template_brain
        The template's brain mask
    """
    workflow = LesionWorkflow(name=name)
    reference = names.session.reference
    inputnode = identity("inputnode", ["preproc", "lesion", "tables", "template_brain"])
    _keep(workflow, inputnode, {"tables": _tables(names)})
    fields = {"in_file": "preproc", "lesion": "lesion", "brain": "template_brain"}
    out = names.figure("lesionmni", reference)
    _draw(workflow, inputnode, out, "lesion", LesionFigure(label=TEMPLATE), **fields)
    _draw_tracts(workflow, inputnode, names, "preproc", reference)
    return workflow


def init_own_outputs_wf(*, names, name="own_outputs_wf"):
    """Keep what is made of an own lesion mask in a template space.

    Parameters
    ----------
    names : Names

    Inputs
    ------
    lesion
        Lesion mask on the template's grid
    components
        Table of components
    tables
        List of tables, of tracts and then of atlases
    background
        Image on the template's grid
    template_brain
        The template's brain mask
    """
    workflow = LesionWorkflow(name=name)
    found = {"label": "L", "desc": names.desc}
    sinks = {
        **_lesion_sinks(names, _MNI | found, _RESOLUTION),
        "components": _sink(
            "ds_components", names.path("morph", ".tsv", space=TEMPLATE, **found), measurements.COLUMNS
        ),
        "tables": _tables(names),
    }
    inputnode = identity("inputnode", [*sinks, "background", "template_brain"])
    _keep(workflow, inputnode, sinks)
    fields = {"in_file": "background", "lesion": "lesion", "brain": "template_brain"}
    out = names.figure("ownmni", "mask")
    _draw(workflow, inputnode, out, "lesion", LesionFigure(label=TEMPLATE), **fields)
    _draw_tracts(workflow, inputnode, names, "background", "mask")
    return workflow
