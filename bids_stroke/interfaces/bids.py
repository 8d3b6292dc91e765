"""Interfaces to :mod:`bids_stroke.bids`: sinks of derivatives."""

import shutil
from pathlib import Path

from bids_stroke.bids.derivatives import write_json
from bids_stroke.spatial import image
from bids_stroke.utils import files

from .base import BaseInterfaceInputSpec, File, SimpleInterface, TraitedSpec, existing, traits


class _SinkInput(BaseInterfaceInputSpec):
    in_file = existing(desc="what to keep")
    out_file = File(mandatory=True, desc="final name")
    raw = existing(mandatory=False, desc="raw image whose axis order the derivative takes")
    metadata = traits.Dict(usedefault=True, desc="JSON sidecar; none if empty")


class _SinkOutput(TraitedSpec):
    out_file = existing(desc="the derivative")


class _SinkTablesInput(BaseInterfaceInputSpec):
    in_file = traits.List(existing(), mandatory=True, desc="what to keep")
    out_file = traits.List(File, mandatory=True, desc="final names, in the same order")
    metadata = traits.List(traits.Dict, mandatory=True, desc="JSON sidecars, in the same order")


class _SinkTablesOutput(TraitedSpec):
    out_file = traits.List(existing(), desc="the derivatives")


class Sink(SimpleInterface):
    """Write a derivative and its sidecar under their final names, whole or not at all."""

    input_spec = _SinkInput
    output_spec = _SinkOutput
    _always_run = True  # a derivative that was deleted comes back

    def _run_interface(self, runtime):
        target = Path(self.inputs.out_file)
        if self.inputs.metadata:
            write_json(self.inputs.metadata, _sidecar(target))
        if self.inputs.raw:
            raw = image.load(self.inputs.raw)
            image.save(image.restore(image.load(self.inputs.in_file), raw), target)
        else:
            _copy(self.inputs.in_file, target)
        self._results["out_file"] = str(target)
        return runtime


class SinkTables(SimpleInterface):
    """Write several tables and their sidecars under their final names."""

    input_spec = _SinkTablesInput
    output_spec = _SinkTablesOutput
    _always_run = True

    def _run_interface(self, runtime):
        described = zip(self.inputs.in_file, self.inputs.out_file, self.inputs.metadata, strict=True)
        for source, target, metadata in described:
            write_json(metadata, _sidecar(Path(target)))
            _copy(source, target)
        self._results["out_file"] = list(self.inputs.out_file)
        return runtime


def _sidecar(path):
    return path.with_name(path.name.split(".")[0] + ".json")


def _copy(source, target):
    with files.atomic(target) as partial:
        shutil.copyfile(source, partial)
