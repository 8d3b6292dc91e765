"""Nipype interfaces that write derivatives (see :mod:`bids_stroke.bids`)."""

import shutil
from pathlib import Path

from nipype.interfaces.base import isdefined

from bids_stroke.bids.derivatives import write_json
from bids_stroke.bids.names import sidecar_of
from bids_stroke.spatial import image
from bids_stroke.utils import files

from .base import (
    File,
    ImageInterface,
    Outputs,
    existing,
    inputs,
    orientation_field,
    outputs,
    traits,
)


class Sink(ImageInterface):
    """Write a derivative and its sidecar atomically under their final names."""

    input_spec = inputs(
        in_file=existing("file to write"),
        out_file=File(mandatory=True, desc="final path"),
        raw=existing("raw image that defines the axis order of the derivative", mandatory=False),
        orientation=orientation_field(),
        metadata=traits.Dict(usedefault=True, desc="JSON sidecar; not written if empty"),
        measured=traits.Dict(usedefault=True, desc="additional entries of the sidecar"),
    )
    output_spec = outputs(out_file=existing("the derivative"))
    _always_run = True  # a deleted derivative is written again

    def _run_on(self, _folder: Path) -> Outputs:
        target = Path(self.inputs.out_file)
        if self.inputs.metadata:
            write_json({**self.inputs.metadata, **self.inputs.measured}, sidecar_of(target))
        if isdefined(self.inputs.raw):
            # Only the header is needed.
            raw = image.open_image(self.inputs.raw, self.inputs.orientation)
            image.save(image.restore(image.load(self.inputs.in_file), raw), target)
        else:
            _copy(self.inputs.in_file, target)
        return {"out_file": target}


class SinkTables(ImageInterface):
    """Write several tables and their sidecars under their final names."""

    input_spec = inputs(
        in_file=traits.List(existing(), mandatory=True, desc="files to write"),
        out_file=traits.List(File, mandatory=True, desc="final paths, in the same order"),
        metadata=traits.List(traits.Dict, mandatory=True, desc="JSON sidecars, in the same order"),
    )
    output_spec = outputs(out_file=traits.List(existing(), desc="the derivatives"))
    _always_run = True

    def _run_on(self, _folder: Path) -> Outputs:
        targets = [Path(path) for path in self.inputs.out_file]
        for source, target, metadata in zip(
            self.inputs.in_file, targets, self.inputs.metadata, strict=True
        ):
            write_json(metadata, sidecar_of(target))
            _copy(source, target)
        return {"out_file": targets}


def _copy(source: str, target: Path) -> None:
    with files.atomic(target) as partial:
        shutil.copyfile(source, partial)
