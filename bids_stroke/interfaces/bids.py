"""Interfaces over :mod:`bids_stroke.bids`: the sink of derivatives."""

import shutil
from pathlib import Path

from .. import image
from ..bids import write_json
from .base import BaseInterfaceInputSpec, File, SimpleInterface, TraitedSpec, existing, traits


class _SinkInput(BaseInterfaceInputSpec):
    in_file = existing(desc="what to keep")
    out_file = File(mandatory=True, desc="final name")
    raw = existing(mandatory=False, desc="raw image whose axis order the derivative takes")
    metadata = traits.Dict(usedefault=True, desc="JSON sidecar; none if empty")


class _SinkOutput(TraitedSpec):
    out_file = existing(desc="the derivative")


class Sink(SimpleInterface):
    """Write a derivative and its sidecar under their final names, whole or not at all."""

    input_spec = _SinkInput
    output_spec = _SinkOutput
    _always_run = True  # a derivative that was deleted comes back

    def _run_interface(self, runtime):
        target = Path(self.inputs.out_file)
        if self.inputs.metadata:
            sidecar = target.with_name(target.name.split(".")[0] + ".json")
            write_json(self.inputs.metadata, sidecar)
        if self.inputs.raw:
            raw = image.load(self.inputs.raw)
            image.save(image.restore(image.load(self.inputs.in_file), raw), target)
        else:
            with image.atomic(target) as partial:
                shutil.copyfile(self.inputs.in_file, partial)
        self._results["out_file"] = str(target)
        return runtime
