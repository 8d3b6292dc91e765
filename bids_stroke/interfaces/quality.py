"""Interfaces over :mod:`bids_stroke.quality`."""

import pandas as pd

from .. import image, quality
from ..bids import write_tsv
from .base import BaseInterfaceInputSpec, SimpleInterface, TraitedSpec, existing, result


class _QualityInput(BaseInterfaceInputSpec):
    in_file = existing(desc="bias-corrected reference image")
    brain = existing(desc="brain mask")
    moved_image = existing(desc="reference image on the template's grid")
    moved_brain = existing(desc="brain mask on the template's grid")
    template_brain = existing(desc="the template's brain mask")


class _QualityOutput(TraitedSpec):
    out_table = existing(desc="one row")


class Quality(SimpleInterface):
    """Measure the image quality of a session."""

    input_spec = _QualityInput
    output_spec = _QualityOutput

    def _run_interface(self, runtime):
        names = ("in_file", "brain", "moved_image", "moved_brain", "template_brain")
        images = (image.load(getattr(self.inputs, name)) for name in names)
        table = pd.DataFrame([quality.measure(*images)])
        self._results["out_table"] = str(write_tsv(table, result(runtime, "quality.tsv")))
        return runtime
