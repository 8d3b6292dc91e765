"""Interfaces to :mod:`bids_stroke.spatial`."""

from pathlib import Path

import nibabel as nib
import numpy as np

from bids_stroke.compute import devices, isolated
from bids_stroke.models import brain_extraction
from bids_stroke.settings import NORMALIZATIONS
from bids_stroke.spatial import (
    bias,
    image,
    lesion_filling,
    linear_registration,
    masks,
    normalization,
    template_transforms,
    templates,
    transforms,
)

from .base import (
    SUPPLIED_MASK_FIELDS,
    ImageInterface,
    Outputs,
    existing,
    image_file,
    inputs,
    orientation_field,
    outputs,
    traits,
)


class Conform(ImageInterface):
    """Check an image and reorder it to RAS."""

    input_spec = inputs(in_file=existing("raw image"), orientation=orientation_field())
    output_spec = outputs(out_file=existing("checked image in RAS order"))

    def _run_on(self, folder: Path) -> Outputs:
        img = image.conform(image.load_scan(self.inputs.in_file, self.inputs.orientation))
        return {"out_file": image.save(img, folder / "conformed.nii.gz")}


class MoveToTemplate(ImageInterface):
    """Transform a user-supplied lesion mask, or an image, from its template space to the template."""

    input_spec = inputs(
        in_file=existing("lesion mask or image in a template space"),
        space=traits.Str(mandatory=True, desc="the template space"),
        is_mask=traits.Bool(False, usedefault=True, desc="whether the image is a lesion mask"),
    )
    output_spec = outputs(out_file=existing("lesion mask or image on the grid of the template"))

    def _run_on(self, folder: Path) -> Outputs:
        img = image.load_supplied(self.inputs.in_file)
        if self.inputs.is_mask:
            moved = template_transforms.mask_to_template(masks.binarize(img), self.inputs.space)
        else:
            moved = template_transforms.to_template(img, self.inputs.space)
        return {"out_file": image.save(moved, folder / "moved.nii.gz")}


class ExtractBrain(ImageInterface):
    """Extract the brain."""

    input_spec = inputs(
        in_file=existing("head in RAS order"),
        source=existing("raw image, for error messages"),
        method=traits.Str("hd-bet", usedefault=True, desc="method"),
        identity=traits.Str(desc="identity of the method, which invalidates the cache"),
        device=traits.Str("auto", usedefault=True, nohash=True, desc="torch device"),
        use_gpu=traits.Bool(False, usedefault=True, nohash=True, desc="whether the node runs on a GPU"),
    )
    output_spec = outputs(out_mask=existing("brain mask"))

    def _run_on(self, folder: Path) -> Outputs:
        mask = isolated.run(
            _extract,
            self.inputs.in_file,
            self.inputs.method,
            self.inputs.device,
            self.inputs.source,
            folder / "brain.nii.gz",
        )
        return {"out_mask": mask}


def _extract(head: str, method: str, device: str, source: str, out: Path) -> Path:
    device = devices.resolve(device)
    with devices.lock(device):
        mask = brain_extraction.extract(image.load(head), method, device, source)
    return image.save(mask, out)


class ImportBrainMask(ImageInterface):
    """Fit a user-supplied brain mask to the grid of the image."""

    input_spec = inputs(**SUPPLIED_MASK_FIELDS)
    output_spec = outputs(out_mask=existing("brain mask"))

    def _run_on(self, folder: Path, in_file: nib.Nifti1Image) -> Outputs:
        supplied = image.load_supplied(self.inputs.mask_file, self.inputs.orientation)
        mask = masks.fit_brain_mask(supplied, in_file, self.inputs.source)
        return {"out_mask": image.save(mask, folder / "brain.nii.gz")}


class CorrectBias(ImageInterface):
    """Correct the bias field by N4."""

    input_spec = inputs(
        in_file=existing("image in RAS order"),
        mask_file=existing("brain mask on the same grid"),
    )
    output_spec = outputs(out_file=existing("bias-corrected image"))

    def _run_on(self, folder: Path) -> Outputs:
        paths = self.inputs.in_file, self.inputs.mask_file, folder / "corrected.nii.gz"
        return {"out_file": isolated.run(_correct_bias, *paths)}


def _correct_bias(head: str, mask: str, out: Path) -> Path:
    return image.save(bias.correct_bias(image.load(head), image.load(mask)), out)


class Rigid(ImageInterface):
    """Register two contrasts of the same head rigidly."""

    input_spec = inputs(
        moving=image_file("moving image"),
        fixed=image_file("fixed image"),
        fixed_mask=image_file("brain mask of the fixed image"),
    )
    output_spec = outputs(
        moving_to_fixed=existing("transform from moving to fixed"),
        fixed_to_moving=existing("transform from fixed to moving"),
    )

    def _run_on(
        self,
        folder: Path,
        moving: nib.Nifti1Image,
        fixed: nib.Nifti1Image,
        fixed_mask: nib.Nifti1Image,
    ) -> Outputs:
        forward, inverse = linear_registration.rigid(moving, fixed, fixed_mask, folder)
        return {"moving_to_fixed": forward, "fixed_to_moving": inverse}


class Normalize(ImageInterface):
    """Register a brain with a lesion to the template."""

    input_spec = inputs(
        in_file=image_file("bias-corrected image"),
        brain=image_file("brain mask"),
        lesion=image_file("lesion mask"),
        template=image_file("template"),
        template_brain=image_file("brain mask of the template"),
        method=traits.Enum(*NORMALIZATIONS, mandatory=True, desc="treatment of the lesion"),
    )
    output_spec = outputs(
        to_template=existing("transform from the image to the template"),
        from_template=existing("transform from the template to the image"),
    )

    def _run_on(
        self,
        folder: Path,
        in_file: nib.Nifti1Image,
        brain: nib.Nifti1Image,
        lesion: nib.Nifti1Image,
        template: nib.Nifti1Image,
        template_brain: nib.Nifti1Image,
    ) -> Outputs:
        target = templates.Template(template, template_brain)
        forward, inverse = normalization.normalize(
            in_file, brain, lesion, folder, target, self.inputs.method
        )
        return {"to_template": forward, "from_template": inverse}


class FillLesion(ImageInterface):
    """Fill a lesion with mirrored tissue of the other hemisphere."""

    input_spec = inputs(
        in_file=image_file("bias-corrected head"),
        brain=image_file("brain mask"),
        lesion=image_file("lesion mask"),
        to_template=existing("transform from the image to the default template"),
        from_template=existing("transform from the default template to the image"),
    )
    output_spec = outputs(
        out_file=existing("filled head"),
        volumes=traits.Dict(desc="volumes (mm³) filled by each method, for the sidecar"),
    )

    def _run_on(
        self, folder: Path, in_file: nib.Nifti1Image, brain: nib.Nifti1Image, lesion: nib.Nifti1Image
    ) -> Outputs:
        paths = Path(self.inputs.to_template), Path(self.inputs.from_template)
        filling = lesion_filling.fill_lesion(in_file, brain, lesion, *paths)
        volumes = {
            "MirroredVolume": round(filling.mirrored_mm3, 1),
            "InterpolatedVolume": round(filling.interpolated_mm3, 1),
        }
        return {"out_file": image.save(filling.img, folder / "filled.nii.gz"), "volumes": volumes}


class Template(ImageInterface):
    """Write the template into the working directory."""

    input_spec = inputs(
        t1w=existing("T1w of a TemplateFlow space; omit for the default template", mandatory=False),
        brain=existing("brain mask of the T1w", mandatory=False),
    )
    output_spec = outputs(
        t1w=existing("skull-stripped template"),
        brain=existing("brain mask"),
    )

    def _run_on(self, folder: Path) -> Outputs:
        files = self.inputs.t1w, self.inputs.brain
        return isolated.run(_write_template, files if all(files) else (), folder)


def _write_template(files: tuple[str, str] | tuple[()], folder: Path) -> Outputs:
    target = templates.load_template(*files) if files else templates.template()
    return {
        "t1w": image.save(target.t1w, folder / "t1w.nii.gz"),
        "brain": image.save(target.brain, folder / "brain.nii.gz"),
    }


class Apply(ImageInterface):
    """Resample an image, once, through a chain of transforms."""

    input_spec = inputs(
        in_file=image_file("image"),
        mask=image_file("mask outside which the image is set to zero", mandatory=False),
        reference=image_file("image that defines the grid"),
        transforms=traits.List(existing(), mandatory=True, desc="transforms in order of application"),
        kind=traits.Enum("image", "probability", "mask", "labels", usedefault=True, desc="image kind"),
    )
    output_spec = outputs(out_file=existing("resampled image"))

    def _run_on(
        self,
        folder: Path,
        in_file: nib.Nifti1Image,
        reference: nib.Nifti1Image,
        mask: nib.Nifti1Image | None = None,
    ) -> Outputs:
        if mask is not None:
            inside = np.asanyarray(mask.dataobj) > 0
            in_file = image.like(np.where(inside, in_file.get_fdata(dtype=np.float32), 0), in_file)
        moved = transforms.apply(in_file, reference, self.inputs.transforms, self.inputs.kind)
        return {"out_file": image.save(moved, folder / "moved.nii.gz")}
