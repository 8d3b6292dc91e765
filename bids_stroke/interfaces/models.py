"""Interfaces to :mod:`bids_stroke.models`."""

from bids_stroke.compute import devices, isolated
from bids_stroke.models import catalog
from bids_stroke.spatial import image

from .base import BaseInterfaceInputSpec, SimpleInterface, TraitedSpec, existing, result, traits


class _SegmentInput(BaseInterfaceInputSpec):
    images = traits.List(existing(), mandatory=True, desc="registered images, RAS")
    contrasts = traits.List(traits.Str, mandatory=True, desc="their contrasts")
    brain = existing(desc="brain mask on the grid of the first image")
    model = traits.Str(mandatory=True, desc="name or path of the card")
    identity = traits.Str(mandatory=True, desc="what its predictions depend on")
    mirror = traits.Bool(False, usedefault=True, desc="average with the mirrored head")
    device = traits.Str("auto", usedefault=True, nohash=True, desc="torch device")
    use_gpu = traits.Bool(False, usedefault=True, nohash=True, desc="runs on a GPU")


class _SegmentOutput(TraitedSpec):
    probability = existing(desc="lesion probability on the grid of the first image")


class Segment(SimpleInterface):
    """Predict the lesion probability."""

    input_spec = _SegmentInput
    output_spec = _SegmentOutput

    def _run_interface(self, runtime):
        self._results["probability"] = isolated.run(
            _segment,
            self.inputs.model,
            dict(zip(self.inputs.contrasts, self.inputs.images, strict=True)),
            self.inputs.brain,
            self.inputs.device,
            self.inputs.mirror,
            result(runtime, "probability.nii.gz"),
        )
        return runtime


def _segment(model, paths, brain, device, mirror, path):
    from bids_stroke.models import inference

    images = {contrast: image.load(one) for contrast, one in paths.items()}
    reference = next(iter(images.values()))
    device = devices.resolve(device)
    with devices.lock(device):
        probability = inference.predict(
            catalog.load(model), images, image.load(brain), reference, device, mirror
        )
    return str(image.save(probability, path))
