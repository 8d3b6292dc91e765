"""Interfaces to :mod:`bids_stroke.lesion`."""

from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine

from bids_stroke.atlases import location
from bids_stroke.bids.derivatives import write_tsv
from bids_stroke.lesion import measurements, postprocessing
from bids_stroke.models.calibration import Calibration
from bids_stroke.spatial import grid, image, masks, transforms

from .base import (
    SUPPLIED_MASK_FIELDS,
    ImageInterface,
    Outputs,
    existing,
    image_file,
    inputs,
    outputs,
    traits,
)


class Threshold(ImageInterface):
    """Threshold a lesion probability and remove small components."""

    input_spec = inputs(
        probability=image_file("lesion probability"),
        threshold=traits.Float(mandatory=True, desc="smallest lesion probability"),
        min_component_mm3=traits.Float(mandatory=True, desc="smallest volume of a component"),
    )
    output_spec = outputs(out_mask=existing("lesion mask"))

    def _run_on(self, folder: Path, probability: nib.Nifti1Image) -> Outputs:
        mask = postprocessing.threshold(
            np.asanyarray(probability.dataobj),
            self.inputs.threshold,
            self.inputs.min_component_mm3,
            grid.voxel_volume(probability),
        )
        return {"out_mask": image.save(image.like(mask, probability), folder / "lesion.nii.gz")}


class ImportLesionMask(ImageInterface):
    """Resample a user-supplied lesion mask to the grid of the image."""

    input_spec = inputs(**SUPPLIED_MASK_FIELDS)
    output_spec = outputs(out_mask=existing("lesion mask"))

    def _run_on(self, folder: Path, in_file: nib.Nifti1Image) -> Outputs:
        supplied = image.load_supplied(self.inputs.mask_file, self.inputs.orientation)
        mask = grid.fit_to_grid(masks.binarize(supplied), in_file, self.inputs.source)
        return {"out_mask": image.save(mask, folder / "lesion.nii.gz")}


class Measure(ImageInterface):
    """Measure a lesion mask."""

    input_spec = inputs(
        mask=image_file("lesion mask"),
        probability=image_file("lesion probability on the same grid", mandatory=False),
        transforms=traits.List(
            existing(), desc="transforms of points to the template, in order of application"
        ),
        normalized=image_file("lesion mask on the grid of the template"),
        volume_errors=traits.Dict(
            traits.Int, traits.Tuple(traits.Float, traits.Float), desc="volume calibration"
        ),
    )
    output_spec = outputs(out_table=existing("a row for the entire mask and a row for each component"))

    def _run_on(
        self,
        folder: Path,
        mask: nib.Nifti1Image,
        normalized: nib.Nifti1Image,
        probability: nib.Nifti1Image | None = None,
    ) -> Outputs:
        points = apply_affine(mask.affine, np.argwhere(np.asanyarray(mask.dataobj) > 0))
        locations = location.locate(transforms.move_points(points, self.inputs.transforms))
        template_measures = location.measure_normalized(normalized)
        table = measurements.measure(mask, probability, locations, template_measures)
        calibration = Calibration(volume=self.inputs.volume_errors or {})
        volume = table["volume_ml"].loc["all"]
        intervals = {c: calibration.volume_interval(volume, c) for c in calibration.volume}
        table = measurements.add_volume_intervals(table, intervals)
        return {"out_table": write_tsv(table.reset_index(), folder / "components.tsv")}
