"""Interfaces over :mod:`bids_stroke.registration` and :mod:`bids_stroke.normalization`."""

import numpy as np

from .. import apart, image, normalization, registration
from ..settings import NORMALIZATIONS
from .base import BaseInterfaceInputSpec, SimpleInterface, TraitedSpec, existing, result, traits


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
            *images, runtime.cwd, registration.Template(t1w, brain), self.inputs.method
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
        apart.run(_write_template, files if all(files) else (), paths)
        self._results |= paths
        return runtime


def _write_template(files, paths):
    target = registration.load_template(*files) if files else registration.template()
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
        moved = registration.apply(
            img, image.load(self.inputs.reference), self.inputs.transforms, self.inputs.kind
        )
        self._results["out_file"] = str(image.save(moved, result(runtime, "moved.nii.gz")))
        return runtime
