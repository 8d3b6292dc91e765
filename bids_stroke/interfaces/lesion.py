"""Interfaces to :mod:`bids_stroke.lesion`."""

import numpy as np
from nibabel.affines import apply_affine

from bids_stroke.atlases import location
from bids_stroke.bids.derivatives import write_tsv
from bids_stroke.lesion import measurements, postprocessing
from bids_stroke.spatial import grid, image, masks, transforms

from .base import BaseInterfaceInputSpec, SimpleInterface, TraitedSpec, existing, result, traits


class _ThresholdInput(BaseInterfaceInputSpec):
    probability = existing(desc="lesion probability")
    threshold = traits.Float(mandatory=True, desc="lesion from here on")
    min_component_mm3 = traits.Float(mandatory=True, desc="smaller components are removed")


class _ThresholdOutput(TraitedSpec):
    out_mask = existing(desc="lesion mask")


class Threshold(SimpleInterface):
    """Turn a lesion probability into a mask."""

    input_spec = _ThresholdInput
    output_spec = _ThresholdOutput

    def _run_interface(self, runtime):
        img = image.load(self.inputs.probability)
        mask = postprocessing.threshold(
            np.asanyarray(img.dataobj),
            self.inputs.threshold,
            self.inputs.min_component_mm3,
            grid.voxel_volume(img),
        )
        path = image.save(image.like(mask, img), result(runtime, "lesion.nii.gz"))
        self._results["out_mask"] = str(path)
        return runtime


class _AdoptInput(BaseInterfaceInputSpec):
    in_file = existing(desc="image in RAS order")
    source = existing(desc="raw image, for messages")
    mask_file = existing(desc="the user's lesion mask")


class Adopt(SimpleInterface):
    """Take a user's lesion mask, on the grid of the image."""

    input_spec = _AdoptInput
    output_spec = _ThresholdOutput

    def _run_interface(self, runtime):
        drawn = masks.binarize(image.load(self.inputs.mask_file))
        mask = grid.fit_to_grid(drawn, image.load(self.inputs.in_file), self.inputs.source)
        self._results["out_mask"] = str(image.save(mask, result(runtime, "lesion.nii.gz")))
        return runtime


class _MeasureInput(BaseInterfaceInputSpec):
    mask = existing(desc="lesion mask")
    probability = existing(mandatory=False, desc="lesion probability on the same grid")
    transforms = traits.List(
        existing(), desc="carry the points of the mask to the template, first applied first"
    )
    normalized = existing(desc="lesion mask on the template's grid")


class _MeasureOutput(TraitedSpec):
    out_table = existing(desc="one row for all, one for each component")


class Measure(SimpleInterface):
    """Measure a lesion mask."""

    input_spec = _MeasureInput
    output_spec = _MeasureOutput

    def _run_interface(self, runtime):
        mask = image.load(self.inputs.mask)
        probability = image.load(self.inputs.probability) if self.inputs.probability else None
        points = apply_affine(mask.affine, np.argwhere(np.asanyarray(mask.dataobj) > 0))
        located = location.locate(transforms.move_points(points, self.inputs.transforms))
        normalized = location.measure_normalized(image.load(self.inputs.normalized))
        table = measurements.measure(mask, probability, located, normalized)
        path = write_tsv(table.reset_index(), result(runtime, "components.tsv"))
        self._results["out_table"] = str(path)
        return runtime
