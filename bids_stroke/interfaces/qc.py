"""Interfaces to :mod:`bids_stroke.qc`."""

import pandas as pd

from bids_stroke.bids.derivatives import write_tsv
from bids_stroke.evaluation import metrics
from bids_stroke.qc import image_quality
from bids_stroke.spatial import image, transforms

from .base import BaseInterfaceInputSpec, SimpleInterface, TraitedSpec, existing, result, traits


class _ImageQualityInput(BaseInterfaceInputSpec):
    contrast = traits.Str(mandatory=True, desc="name of the image")
    raw = existing(desc="image before bias correction")
    in_file = existing(desc="bias-corrected image on the same grid")
    brain = existing(desc="brain mask on the same grid")
    transforms = traits.List(existing(), mandatory=True, desc="from the template to the image")
    template_brain = existing(desc="the template's brain mask")
    moved_brain = existing(desc="the session's brain mask on the template's grid")
    reference = existing(mandatory=False, desc="reference image on this grid, of another contrast")


class _TableOutput(TraitedSpec):
    out_table = existing(desc="one row for each image")


class ImageQuality(SimpleInterface):
    """Measure the quality of an image."""

    input_spec = _ImageQualityInput
    output_spec = _TableOutput

    def _run_interface(self, runtime):
        raw, img, brain, moved_brain, template_brain = (
            image.load(getattr(self.inputs, name))
            for name in ("raw", "in_file", "brain", "moved_brain", "template_brain")
        )
        tissues = {
            name: transforms.apply(tissue, img, self.inputs.transforms, "labels")
            for name, tissue in image_quality.tissue_maps(template_brain).items()
        }
        reference = self.inputs.reference and image.load(self.inputs.reference)
        measured = image_quality.measure(raw, img, brain, tissues, reference or None)
        measured["contrast"] = self.inputs.contrast
        measured["template_brain_dice"] = metrics.dice(moved_brain.dataobj, template_brain.dataobj)
        table = pd.DataFrame([measured], columns=list(image_quality.COLUMNS))
        self._results["out_table"] = str(write_tsv(table, result(runtime, "quality.tsv")))
        return runtime


class _JoinInput(BaseInterfaceInputSpec):
    in_tables = traits.List(existing(), mandatory=True, desc="tables with the same columns")


class Join(SimpleInterface):
    """Put tables under each other."""

    input_spec = _JoinInput
    output_spec = _TableOutput

    def _run_interface(self, runtime):
        tables = [pd.read_csv(path, sep="\t") for path in self.inputs.in_tables]
        rows = pd.concat([table.dropna(axis="columns", how="all") for table in tables])
        joined = rows.reindex(columns=tables[0].columns)
        self._results["out_table"] = str(write_tsv(joined, result(runtime, "tables.tsv")))
        return runtime
