"""What a session leaves behind: derivatives, sidecars and figures, under their final names."""

from nipype.pipeline.engine import Node

from bids_stroke import lesion, quality
from bids_stroke.bids import derivative, description_of, uri
from bids_stroke.interfaces.bids import Sink, SinkTables
from bids_stroke.interfaces.reports import BrainMaskFigure, FlickerFigure, LesionFigure
from bids_stroke.registration import TEMPLATE

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
        sinks["probability"] = _sink(
            "ds_probability", names.path("probseg", **found), described, raw
        )
    return sinks


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
            lesion.COLUMNS,
        ),
        "quality": _sink(
            "ds_quality", names.path("morph", ".tsv", desc="quality"), quality.COLUMNS
        ),
    }
    inputnode = identity("inputnode", ["conformed", *sinks])
    brain_figure = Node(BrainMaskFigure(), name="brain_figure")
    lesion_figure = Node(LesionFigure(label=reference), name="lesion_figure")
    ds_brain_figure = _sink("ds_brain_figure", names.figure("brain", reference))
    ds_lesion_figure = _sink("ds_lesion_figure", names.figure("lesion", reference))
    workflow.connect([
        *((inputnode, sink, [(field, "in_file")]) for field, sink in sinks.items()),
        (inputnode, brain_figure, [("conformed", "in_file"), ("brain", "mask")]),
        (brain_figure, ds_brain_figure, [("out_figure", "in_file")]),
        (inputnode, lesion_figure, [
            ("preproc", "in_file"),
            ("lesion", "lesion"),
            ("brain", "brain"),
        ]),
        (lesion_figure, ds_lesion_figure, [("out_figure", "in_file")]),
    ])  # fmt: skip
    return workflow


def init_contrast_outputs_wf(*, names, contrast, name):
    """Keep what lies on the grid of a further contrast.

    Parameters
    ----------
    names : Names
    contrast : str

    Inputs
    ------
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
    inputnode = identity("inputnode", sinks)
    alignment = Node(FlickerFigure(labels=(reference, contrast)), name="alignment")
    lesion_figure = Node(LesionFigure(label=contrast), name="lesion_figure")
    ds_alignment = _sink("ds_alignment", names.figure("coreg", contrast))
    ds_lesion_figure = _sink("ds_lesion_figure", names.figure("lesion", contrast))
    workflow.connect([
        *((inputnode, sink, [(field, "in_file")]) for field, sink in sinks.items()),
        (inputnode, alignment, [
            ("reference_moved", "fixed"),
            ("preproc", "moving"),
            ("brain", "contour"),
        ]),
        (alignment, ds_alignment, [("out_figure", "in_file")]),
        (inputnode, lesion_figure, [
            ("preproc", "in_file"),
            ("lesion", "lesion"),
            ("brain", "brain"),
        ]),
        (lesion_figure, ds_lesion_figure, [("out_figure", "in_file")]),
    ])  # fmt: skip
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
        "brain": _sink(
            "ds_brain", names.path("mask", **grid, desc="brain"), names.brain(**resolution)
        ),
        **_lesion_sinks(names, {**grid, "label": "L", "desc": names.desc}, resolution),
        "to_template": _sink(
            "ds_to_template", names.folder / xfm.format(reference, space.name), raw
        ),
        "from_template": _sink(
            "ds_from_template", names.folder / xfm.format(space.name, reference), raw
        ),
    }
    inputnode = identity("inputnode", [*sinks, "template", "template_brain"])
    alignment = Node(FlickerFigure(labels=(space.name, reference)), name="alignment")
    ds_alignment = _sink("ds_alignment", names.figure("mni", reference, space=space.name))
    workflow.connect([
        *((inputnode, sink, [(field, "in_file")]) for field, sink in sinks.items()),
        (inputnode, alignment, [
            ("template", "fixed"),
            ("preproc", "moving"),
            ("template_brain", "contour"),
        ]),
        (alignment, ds_alignment, [("out_figure", "in_file")]),
    ])  # fmt: skip
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
    inputnode = identity("inputnode", ["preproc", "lesion", "tables", "template_brain"])
    ds_tables = _tables(names)
    lesion_figure = Node(LesionFigure(label=TEMPLATE), name="lesion_figure")
    ds_lesion_figure = _sink("ds_lesion_figure", names.figure("lesionmni", names.session.reference))
    workflow.connect([
        (inputnode, ds_tables, [("tables", "in_file")]),
        (inputnode, lesion_figure, [
            ("preproc", "in_file"),
            ("lesion", "lesion"),
            ("template_brain", "brain"),
        ]),
        (lesion_figure, ds_lesion_figure, [("out_figure", "in_file")]),
    ])  # fmt: skip
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
            "ds_components", names.path("morph", ".tsv", space=TEMPLATE, **found), lesion.COLUMNS
        ),
        "tables": _tables(names),
    }
    inputnode = identity("inputnode", [*sinks, "background", "template_brain"])
    figure = Node(LesionFigure(label=TEMPLATE), name="figure")
    ds_figure = _sink("ds_figure", names.figure("ownmni", "mask"))
    workflow.connect([
        *((inputnode, sink, [(field, "in_file")]) for field, sink in sinks.items()),
        (inputnode, figure, [
            ("background", "in_file"),
            ("lesion", "lesion"),
            ("template_brain", "brain"),
        ]),
        (figure, ds_figure, [("out_figure", "in_file")]),
    ])  # fmt: skip
    return workflow
