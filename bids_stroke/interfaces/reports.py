"""Interfaces to :mod:`bids_stroke.reports`."""

from pathlib import Path

import nibabel as nib

from bids_stroke.atlases import tract_cards, tracts
from bids_stroke.reports.figures.axial import draw_axial
from bids_stroke.reports.figures.brain_mask import draw_brain_mask
from bids_stroke.reports.figures.flicker import draw_flicker
from bids_stroke.reports.figures.lesion import draw_comparison, draw_lesion, draw_probability
from bids_stroke.reports.figures.overview import draw_overview
from bids_stroke.reports.figures.slices import PLANES
from bids_stroke.reports.figures.tract import draw_tract
from bids_stroke.spatial import image

from .base import ImageInterface, Outputs, existing, image_file, inputs, outputs, traits


def _coordinates() -> traits.TraitType:
    return traits.Enum("scanner", "template", usedefault=True, desc="kind of the world coordinates")


#: Input fields of the figures of a lesion.
_LESION_FIELDS = {
    "in_file": image_file("background"),
    "lesion": image_file("lesion mask on the same grid"),
    "brain": image_file("brain mask on the same grid"),
    "label": traits.Str(mandatory=True, desc="contrast of the background"),
    "coordinates": _coordinates(),
}


class OverviewFigure(ImageInterface):
    """Draw a close-up of the lesion, and the lesion in the brain in 3D."""

    input_spec = inputs(**_LESION_FIELDS)
    output_spec = outputs(out_figure=existing("SVG"))

    def _run_on(
        self,
        folder: Path,
        in_file: nib.Nifti1Image,
        lesion: nib.Nifti1Image,
        brain: nib.Nifti1Image,
    ) -> Outputs:
        out = folder / "overview.svg"
        draw_overview(in_file, lesion, brain, out, self.inputs.label, self.inputs.coordinates)
        return {"out_figure": out}


class AxialFigure(ImageInterface):
    """Draw axial slices with the lesion, its probability and tracts as layers."""

    input_spec = inputs(
        **_LESION_FIELDS,
        probability=image_file("lesion probability on the same grid", mandatory=False),
        tracts=traits.List(existing(), desc="tract probabilities in the same space"),
        names=traits.List(traits.Str, desc="names of the tracts"),
    )
    output_spec = outputs(out_figure=existing("SVG"))

    def _run_on(
        self,
        folder: Path,
        in_file: nib.Nifti1Image,
        lesion: nib.Nifti1Image,
        brain: nib.Nifti1Image,
        probability: nib.Nifti1Image | None = None,
    ) -> Outputs:
        out = folder / "axial.svg"
        loaded = map(image.load, self.inputs.tracts)
        draw_axial(
            in_file,
            lesion,
            brain,
            out,
            self.inputs.label,
            probability,
            dict(zip(self.inputs.names, loaded, strict=True)),
            self.inputs.coordinates,
        )
        return {"out_figure": out}


class BrainMaskFigure(ImageInterface):
    """Draw the contour of the brain mask."""

    input_spec = inputs(in_file=image_file("head"), mask=image_file("brain mask"))
    output_spec = outputs(out_figure=existing("SVG"))

    def _run_on(self, folder: Path, in_file: nib.Nifti1Image, mask: nib.Nifti1Image) -> Outputs:
        out = folder / "brain.svg"
        draw_brain_mask(in_file, mask, out)
        return {"out_figure": out}


class FlickerFigure(ImageInterface):
    """Draw two aligned images that alternate."""

    input_spec = inputs(
        fixed=image_file("fixed image"),
        moving=image_file("moving image on the same grid"),
        contour=image_file("mask whose contour is drawn"),
        labels=traits.Tuple(traits.Str, traits.Str, desc="names of the fixed and the moving image"),
        planes=traits.List(traits.Int, list(PLANES), usedefault=True, desc="axes of the planes"),
        coordinates=_coordinates(),
    )
    output_spec = outputs(out_figure=existing("SVG"))

    def _run_on(
        self,
        folder: Path,
        fixed: nib.Nifti1Image,
        moving: nib.Nifti1Image,
        contour: nib.Nifti1Image,
    ) -> Outputs:
        out = folder / "flicker.svg"
        draw_flicker(
            fixed,
            moving,
            out,
            contour,
            self.inputs.labels,
            self.inputs.coordinates,
            self.inputs.planes,
        )
        return {"out_figure": out}


class LesionFigure(ImageInterface):
    """Draw the contour of the lesion."""

    input_spec = inputs(**_LESION_FIELDS)
    output_spec = outputs(out_figure=existing("SVG"))

    def _run_on(
        self,
        folder: Path,
        in_file: nib.Nifti1Image,
        lesion: nib.Nifti1Image,
        brain: nib.Nifti1Image,
    ) -> Outputs:
        out = folder / "lesion.svg"
        draw_lesion(in_file, lesion, out, self.inputs.label, brain, self.inputs.coordinates)
        return {"out_figure": out}


class CorrectionFigure(ImageInterface):
    """Draw the contours of the mask of the model and of the corrected mask."""

    input_spec = inputs(**_LESION_FIELDS, model=image_file("lesion mask of the model, same grid"))
    output_spec = outputs(out_figure=existing("SVG"))

    def _run_on(
        self,
        folder: Path,
        in_file: nib.Nifti1Image,
        lesion: nib.Nifti1Image,
        brain: nib.Nifti1Image,
        model: nib.Nifti1Image,
    ) -> Outputs:
        out = folder / "correction.svg"
        title = f"Correction on {self.inputs.label}"
        draw_comparison(in_file, model, lesion, title, out, ("model", "corrected mask"), brain)
        return {"out_figure": out}


class ProbabilityFigure(ImageInterface):
    """Draw the lesion probability."""

    input_spec = inputs(**_LESION_FIELDS, probability=image_file("lesion probability on the same grid"))
    output_spec = outputs(out_figure=existing("SVG"))

    def _run_on(
        self,
        folder: Path,
        in_file: nib.Nifti1Image,
        lesion: nib.Nifti1Image,
        brain: nib.Nifti1Image,
        probability: nib.Nifti1Image,
    ) -> Outputs:
        out = folder / "probability.svg"
        draw_probability(in_file, probability, lesion, out, self.inputs.label, brain)
        return {"out_figure": out}


class TractFigure(ImageInterface):
    """Draw the lesion and a tract."""

    input_spec = inputs(
        in_file=image_file("image on the grid of the template"),
        lesion=image_file("lesion mask on the same grid"),
        tract=traits.Str(mandatory=True, desc="tract card or probability map"),
        identity=traits.Str(desc="changes when the tract files change"),
    )
    output_spec = outputs(out_figure=existing("SVG"))

    def _run_on(self, folder: Path, in_file: nib.Nifti1Image, lesion: nib.Nifti1Image) -> Outputs:
        out = folder / "tract.svg"
        card = tract_cards.load_card(self.inputs.tract)
        draw_tract(in_file, lesion, tracts.load_tract(card), out, card.name, card.axis)
        return {"out_figure": out}
