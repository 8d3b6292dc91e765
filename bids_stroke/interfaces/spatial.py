"""Interfaces to :mod:`bids_stroke.spatial`."""

import numpy as np

from bids_stroke.compute import devices, isolated
from bids_stroke.settings import BRAIN_EXTRACTIONS, NORMALIZATIONS
from bids_stroke.spatial import (
    bias,
    brain_extraction,
    image,
    masks,
    normalization,
    registration,
    template_transforms,
    templates,
    transforms,
)

from .base import BaseInterfaceInputSpec, SimpleInterface, TraitedSpec, existing, result, traits


class _BringInput(BaseInterfaceInputSpec):
    in_file = existing(desc="lesion mask or image in a template space")
    space = traits.Str(mandatory=True, desc="that space")
    is_mask = traits.Bool(False, usedefault=True, desc="a lesion mask")


class _BringOutput(TraitedSpec):
    out_file = existing(desc="on the template's grid")


class Bring(SimpleInterface):
    """Bring a user's lesion mask, or an image, from its template space to the template."""

    input_spec = _BringInput
    output_spec = _BringOutput

    def _run_interface(self, runtime):
        img = image.load(self.inputs.in_file)
        if self.inputs.is_mask:
            img = masks.binarize(img)
        moved = template_transforms.to_template(img, self.inputs.space)
        if self.inputs.is_mask:
            moved = masks.binarize(moved)
        self._results["out_file"] = str(image.save(moved, result(runtime, "moved.nii.gz")))
        return runtime


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
        self._results["out_mask"] = isolated.run(
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
        mask = brain_extraction.extract(image.load(head), method, device, source)
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
        mask = masks.fit_brain_mask(image.load(self.inputs.mask_file), img, self.inputs.source)
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
        self._results["out_file"] = isolated.run(
            _correct_bias,
            self.inputs.in_file,
            self.inputs.mask_file,
            result(runtime, "corrected.nii.gz"),
        )
        return runtime


def _correct_bias(head, mask, path):
    return str(image.save(bias.correct_bias(image.load(head), image.load(mask)), path))


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


class _RigidInput(BaseInterfaceInputSpec):
    moving = existing(desc="moving image")
    fixed = existing(desc="fixed image")
    fixed_mask = existing(desc="brain mask of the fixed image")


class _RigidOutput(TraitedSpec):
    moving_to_fixed = existing(desc="transform")
    fixed_to_moving = existing(desc="its inverse")


class Rigid(SimpleInterface):
    """Register two contrasts of one head."""

    input_spec = _RigidInput
    output_spec = _RigidOutput

    def _run_interface(self, runtime):
        names = ("moving", "fixed", "fixed_mask")
        images = (image.load(getattr(self.inputs, name)) for name in names)
        forward, inverse = registration.rigid(*images, runtime.cwd)
        self._results |= {"moving_to_fixed": str(forward), "fixed_to_moving": str(inverse)}
        return runtime


class _NormalizeInput(BaseInterfaceInputSpec):
    in_file = existing(desc="bias-corrected image")
    brain = existing(desc="brain mask")
    lesion = existing(desc="lesion mask, which must not lead the warp")
    template = existing(desc="template")
    template_brain = existing(desc="its brain mask")
    method = traits.Enum(*NORMALIZATIONS, mandatory=True, desc="what is done with the lesion")


class _NormalizeOutput(TraitedSpec):
    to_template = existing(desc="transform from the image to the template")
    from_template = existing(desc="its inverse")


class Normalize(SimpleInterface):
    """Register a brain to the template, in spite of its lesion."""

    input_spec = _NormalizeInput
    output_spec = _NormalizeOutput

    def _run_interface(self, runtime):
        names = ("in_file", "brain", "lesion", "template", "template_brain")
        *images, t1w, brain = (image.load(getattr(self.inputs, name)) for name in names)
        forward, inverse = normalization.normalize(
            *images, runtime.cwd, templates.Template(t1w, brain), self.inputs.method
        )
        self._results |= {"to_template": str(forward), "from_template": str(inverse)}
        return runtime


class _TemplateInput(BaseInterfaceInputSpec):
    t1w = existing(mandatory=False, desc="T1w of a space of TemplateFlow; the default without")
    brain = existing(mandatory=False, desc="its brain mask")


class _TemplateOutput(TraitedSpec):
    t1w = existing(desc="template, without skull")
    brain = existing(desc="brain mask")


class Template(SimpleInterface):
    """Write the template into the working directory."""

    input_spec = _TemplateInput
    output_spec = _TemplateOutput

    def _run_interface(self, runtime):
        files = self.inputs.t1w, self.inputs.brain
        paths = {name: result(runtime, f"{name}.nii.gz") for name in ("t1w", "brain")}
        isolated.run(_write_template, files if all(files) else (), paths)
        self._results |= paths
        return runtime


def _write_template(files, paths):
    target = templates.load_template(*files) if files else templates.template()
    for name, path in paths.items():
        image.save(getattr(target, name), path)


class _ApplyInput(BaseInterfaceInputSpec):
    in_file = existing(desc="image")
    mask = existing(mandatory=False, desc="voxels of the image outside are zero")
    reference = existing(desc="grid")
    transforms = traits.List(existing(), mandatory=True, desc="first applied first")
    kind = traits.Enum("image", "probability", "mask", "labels", usedefault=True, desc="of voxels")


class _ApplyOutput(TraitedSpec):
    out_file = existing(desc="resampled image")


class Apply(SimpleInterface):
    """Resample an image, once, through a chain of transforms."""

    input_spec = _ApplyInput
    output_spec = _ApplyOutput

    def _run_interface(self, runtime):
        img = image.load(self.inputs.in_file)
        if self.inputs.mask:
            inside = np.asanyarray(image.load(self.inputs.mask).dataobj) > 0
            img = image.like(np.where(inside, img.get_fdata(dtype=np.float32), 0), img)
        moved = transforms.apply(
            img, image.load(self.inputs.reference), self.inputs.transforms, self.inputs.kind
        )
        self._results["out_file"] = str(image.save(moved, result(runtime, "moved.nii.gz")))
        return runtime
