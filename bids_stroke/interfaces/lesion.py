"""Interfaces over :mod:`bids_stroke.lesion`."""

import numpy as np

from .. import image, lesion
from ..bids import write_tsv
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
        mask = lesion.threshold(
            np.asanyarray(img.dataobj),
            self.inputs.threshold,
            self.inputs.min_component_mm3,
            image.voxel_volume(img),
        )
        path = image.save(image.like(mask, img), result(runtime, "lesion.nii.gz"))
        self._results["out_mask"] = str(path)
        return runtime


class _MeasureInput(BaseInterfaceInputSpec):
    mask = existing(desc="lesion mask")
    probability = existing(desc="lesion probability")
    side = existing(desc="-1 left, 1 right, same grid")


class _MeasureOutput(TraitedSpec):
    out_table = existing(desc="one row for all, one for each component")


class Measure(SimpleInterface):
    """Measure a lesion mask."""

    input_spec = _MeasureInput
    output_spec = _MeasureOutput

    def _run_interface(self, runtime):
        names = ("mask", "probability", "side")
        table = lesion.measure(*(image.load(getattr(self.inputs, name)) for name in names))
        path = write_tsv(table.reset_index(), result(runtime, "components.tsv"))
        self._results["out_table"] = str(path)
        return runtime
