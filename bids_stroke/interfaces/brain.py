"""Interfaces over :mod:`bids_stroke.brain`."""

from .. import apart, brain, devices, image
from ..settings import BRAIN_EXTRACTIONS
from .base import BaseInterfaceInputSpec, SimpleInterface, TraitedSpec, existing, result, traits


class _ExtractBrainInput(BaseInterfaceInputSpec):
    in_file = existing(desc="head in RAS order")
    source = existing(desc="raw image, for messages")
    method = traits.Enum(*BRAIN_EXTRACTIONS, usedefault=True, desc="method")
    device = traits.Str("auto", usedefault=True, nohash=True, desc="torch device")
    use_gpu = traits.Bool(False, usedefault=True, nohash=True, desc="runs on a GPU")


class _MaskOutput(TraitedSpec):
    out_mask = existing(desc="brain mask")


class ExtractBrain(SimpleInterface):
    """Find the brain."""

    input_spec = _ExtractBrainInput
    output_spec = _MaskOutput

    def _run_interface(self, runtime):
        self._results["out_mask"] = apart.run(
            _extract,
            self.inputs.in_file,
            self.inputs.method,
            self.inputs.device,
            self.inputs.source,
            result(runtime, "brain.nii.gz"),
        )
        return runtime


def _extract(head, method, device, source, path):
    device = devices.resolve(device)
    with devices.lock(device):
        mask = brain.extract(image.load(head), method, device, source)
    return str(image.save(mask, path))


class _ImportMaskInput(BaseInterfaceInputSpec):
    in_file = existing(desc="image in RAS order")
    source = existing(desc="raw image, for messages")
    mask_file = existing(desc="the user's mask")


class ImportMask(SimpleInterface):
    """Take a user's brain mask, on the grid of the image."""

    input_spec = _ImportMaskInput
    output_spec = _MaskOutput

    def _run_interface(self, runtime):
        img = image.load(self.inputs.in_file)
        mask = brain.adopt(image.load(self.inputs.mask_file), img, self.inputs.source)
        self._results["out_mask"] = str(image.save(mask, result(runtime, "brain.nii.gz")))
        return runtime


class _CorrectBiasInput(BaseInterfaceInputSpec):
    in_file = existing(desc="image in RAS order")
    mask_file = existing(desc="brain mask, same grid")


class _CorrectBiasOutput(TraitedSpec):
    out_file = existing(desc="bias-corrected image")


class CorrectBias(SimpleInterface):
    """Correct the bias field by N4."""

    input_spec = _CorrectBiasInput
    output_spec = _CorrectBiasOutput

    def _run_interface(self, runtime):
        self._results["out_file"] = apart.run(
            _correct_bias,
            self.inputs.in_file,
            self.inputs.mask_file,
            result(runtime, "corrected.nii.gz"),
        )
        return runtime


def _correct_bias(head, mask, path):
    return str(image.save(brain.correct_bias(image.load(head), image.load(mask)), path))
