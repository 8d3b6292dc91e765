"""Interfaces to :mod:`bids_stroke.models`."""

from pathlib import Path

import nibabel as nib

from bids_stroke.compute import devices, isolated
from bids_stroke.models import catalog
from bids_stroke.spatial import grid, image

from .base import ImageInterface, Outputs, existing, image_file, inputs, outputs, traits


class Segment(ImageInterface):
    """Predict the lesion probability."""

    input_spec = inputs(
        images=traits.List(existing(), mandatory=True, desc="registered images, RAS"),
        contrasts=traits.List(traits.Str, mandatory=True, desc="contrasts of the images"),
        brain=existing("brain mask on the grid of the first image"),
        model=traits.Str(mandatory=True, desc="name or path of the model card"),
        identity=traits.Str(mandatory=True, desc="identity of the model, which invalidates the cache"),
        mirror=traits.Bool(
            False, usedefault=True, desc="average the predictions of the head and its mirror image"
        ),
        device=traits.Str("auto", usedefault=True, nohash=True, desc="torch device"),
        use_gpu=traits.Bool(False, usedefault=True, nohash=True, desc="run on a GPU"),
    )
    output_spec = outputs(
        probability=existing("lesion probability on the grid of the first image"),
    )

    def _run_on(self, folder: Path) -> Outputs:
        paths = dict(zip(self.inputs.contrasts, self.inputs.images, strict=True))
        probability = isolated.run(
            _segment,
            self.inputs.model,
            paths,
            self.inputs.brain,
            self.inputs.device,
            self.inputs.mirror,
            folder / "probability.nii.gz",
        )
        return {"probability": probability}


class ImportProbability(ImageInterface):
    """Import the lesion probability of an earlier run."""

    input_spec = inputs(
        in_file=existing("lesion probability"),
        brain=image_file("brain mask on the same grid, RAS"),
    )
    output_spec = outputs(probability=existing("lesion probability on the grid of the brain mask"))

    def _run_on(self, folder: Path, brain: nib.Nifti1Image) -> Outputs:
        probability = grid.fit_to_grid(image.load(self.inputs.in_file), brain)
        return {"probability": image.save(probability, folder / "probability.nii.gz")}


def _segment(
    model: str, paths: dict[str, str], brain: str, device: str, mirror: bool, out: Path
) -> Path:
    from bids_stroke.models import inference

    images = {contrast: image.load(path) for contrast, path in paths.items()}
    reference = next(iter(images.values()))
    device = devices.resolve(device)
    with devices.lock(device):
        probability = inference.predict(
            catalog.load(model), images, image.load(brain), reference, device, mirror
        )
    return image.save(probability, out)
