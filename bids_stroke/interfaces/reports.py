"""Interfaces to :mod:`bids_stroke.reports`."""

from bids_stroke.atlases import tracts
from bids_stroke.reports.figures import figures
from bids_stroke.spatial import image

from .base import BaseInterfaceInputSpec, SimpleInterface, TraitedSpec, existing, result, traits


class _FigureOutput(TraitedSpec):
    out_figure = existing(desc="SVG")


class _BrainMaskFigureInput(BaseInterfaceInputSpec):
    in_file = existing(desc="head")
    mask = existing(desc="brain mask")


class BrainMaskFigure(SimpleInterface):
    """Draw the outline of the brain."""

    input_spec = _BrainMaskFigureInput
    output_spec = _FigureOutput

    def _run_interface(self, runtime):
        out = result(runtime, "brain.svg")
        figures.brain_mask(image.load(self.inputs.in_file), image.load(self.inputs.mask), out)
        self._results["out_figure"] = out
        return runtime


class _FlickerFigureInput(BaseInterfaceInputSpec):
    fixed = existing(desc="fixed image")
    moving = existing(desc="moving image on the same grid")
    contour = existing(desc="mask to outline")
    labels = traits.Tuple(traits.Str, traits.Str, desc="names of the two")


class FlickerFigure(SimpleInterface):
    """Draw two aligned images in turn."""

    input_spec = _FlickerFigureInput
    output_spec = _FigureOutput

    def _run_interface(self, runtime):
        out = result(runtime, "flicker.svg")
        fixed, moving, contour = (
            image.load(getattr(self.inputs, name)) for name in ("fixed", "moving", "contour")
        )
        figures.flicker(fixed, moving, out, contour, self.inputs.labels)
        self._results["out_figure"] = out
        return runtime


class _LesionFigureInput(BaseInterfaceInputSpec):
    in_file = existing(desc="background")
    lesion = existing(desc="lesion mask on the same grid")
    brain = existing(desc="brain mask on the same grid")
    label = traits.Str(mandatory=True, desc="contrast of the background")


class LesionFigure(SimpleInterface):
    """Draw the outline of the lesion."""

    input_spec = _LesionFigureInput
    output_spec = _FigureOutput

    def _run_interface(self, runtime):
        out = result(runtime, "lesion.svg")
        background, lesion, brain = (
            image.load(getattr(self.inputs, name)) for name in ("in_file", "lesion", "brain")
        )
        figures.lesion(background, lesion, out, self.inputs.label, brain)
        self._results["out_figure"] = out
        return runtime


class _ProbabilityFigureInput(_LesionFigureInput):
    probability = existing(desc="lesion probability on the same grid")


class ProbabilityFigure(SimpleInterface):
    """Draw the probability of a lesion."""

    input_spec = _ProbabilityFigureInput
    output_spec = _FigureOutput

    def _run_interface(self, runtime):
        out = result(runtime, "probability.svg")
        background, probability, lesion, brain = (
            image.load(getattr(self.inputs, name))
            for name in ("in_file", "probability", "lesion", "brain")
        )
        figures.probability(background, probability, lesion, out, self.inputs.label, brain)
        self._results["out_figure"] = out
        return runtime


class _TractFigureInput(BaseInterfaceInputSpec):
    in_file = existing(desc="image on the template's grid")
    lesion = existing(desc="lesion mask on the same grid")
    tract = traits.Str(mandatory=True, desc="card or map")
    identity = traits.Str(desc="tells when the files of the tracts change")


class TractFigure(SimpleInterface):
    """Draw the lesion over a tract."""

    input_spec = _TractFigureInput
    output_spec = _FigureOutput

    def _run_interface(self, runtime):
        out = result(runtime, "tract.svg")
        card = tracts.load_card(self.inputs.tract)
        background, lesion = (image.load(path) for path in (self.inputs.in_file, self.inputs.lesion))
        figures.tract(background, lesion, tracts.load_tract(card), out, card.name)
        self._results["out_figure"] = out
        return runtime
