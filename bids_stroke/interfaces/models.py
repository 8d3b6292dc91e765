"""Interfaces over :mod:`bids_stroke.models`."""

from .. import devices, image
from ..models import card as cards
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
        from ..models import infer

        card = cards.load(self.inputs.model)
        images = [image.load(path) for path in self.inputs.images]
        device = devices.resolve(self.inputs.device)
        with devices.lock(device):
            probability = infer.predict(
                card,
                dict(zip(self.inputs.contrasts, images, strict=True)),
                image.load(self.inputs.brain),
                reference=images[0],
                device=device,
                mirror=self.inputs.mirror,
            )
        path = image.save(probability, result(runtime, "probability.nii.gz"))
        self._results["probability"] = str(path)
        return runtime
