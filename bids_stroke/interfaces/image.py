"""Interfaces over :mod:`bids_stroke.image`."""

from .. import image
from .base import BaseInterfaceInputSpec, SimpleInterface, TraitedSpec, existing, result


class _ConformInput(BaseInterfaceInputSpec):
    in_file = existing(desc="raw image")


class _ConformOutput(TraitedSpec):
    out_file = existing(desc="checked image in RAS order")


class Conform(SimpleInterface):
    """Check an image and reorder it to RAS."""

    input_spec = _ConformInput
    output_spec = _ConformOutput

    def _run_interface(self, runtime):
        img = image.conform(image.load_scan(self.inputs.in_file))
        self._results["out_file"] = str(image.save(img, result(runtime, "conformed.nii.gz")))
        return runtime
