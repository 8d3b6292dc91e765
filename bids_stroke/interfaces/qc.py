"""Interfaces to :mod:`bids_stroke.qc`."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from bids_stroke.bids.derivatives import write_tsv
from bids_stroke.evaluation import metrics
from bids_stroke.qc import image_quality
from bids_stroke.spatial import grid, transforms

from .base import ImageInterface, Outputs, existing, image_file, inputs, outputs, traits


class ImageQuality(ImageInterface):
    """Measure the quality of an image."""

    input_spec = inputs(
        contrast=traits.Str(mandatory=True, desc="contrast of the image"),
        raw=image_file("image before bias correction"),
        in_file=image_file("bias-corrected image on the same grid"),
        brain=image_file("brain mask on the same grid"),
        transforms=traits.List(
            existing(), mandatory=True, desc="transforms from the template to the image"
        ),
        template_brain=image_file("brain mask of the template"),
        moved_brain=image_file("brain mask of the session on the grid of the template"),
        reference=image_file(
            "reference image on the same grid, if it is another image", mandatory=False
        ),
    )
    output_spec = outputs(out_table=existing("one row for each image"))

    def _run_on(
        self,
        folder: Path,
        raw: nib.Nifti1Image,
        in_file: nib.Nifti1Image,
        brain: nib.Nifti1Image,
        template_brain: nib.Nifti1Image,
        moved_brain: nib.Nifti1Image,
        reference: nib.Nifti1Image | None = None,
    ) -> Outputs:
        tissues = {
            name: transforms.apply(tissue, in_file, self.inputs.transforms, "labels")
            for name, tissue in image_quality.tissue_maps(template_brain).items()
        }
        measured = image_quality.measure(raw, in_file, brain, tissues, reference)
        measured["contrast"] = self.inputs.contrast
        measured["template_brain_dice"] = metrics.dice(moved_brain.dataobj, template_brain.dataobj)
        scaled = np.count_nonzero(moved_brain.dataobj) * grid.voxel_volume(moved_brain) / 1000
        measured["brain_scaling"] = scaled / measured["brain_volume_ml"]
        table = pd.DataFrame([measured], columns=list(image_quality.COLUMNS))
        return {"out_table": write_tsv(table, folder / "quality.tsv")}


class Join(ImageInterface):
    """Concatenate tables."""

    input_spec = inputs(
        in_tables=traits.List(existing(), mandatory=True, desc="tables with the same columns"),
    )
    output_spec = outputs(out_table=existing("one row for each image"))

    def _run_on(self, folder: Path) -> Outputs:
        tables = [pd.read_csv(path, sep="\t") for path in self.inputs.in_tables]
        rows = pd.concat([table.dropna(axis="columns", how="all") for table in tables])
        joined = rows.reindex(columns=tables[0].columns)
        return {"out_table": write_tsv(joined, folder / "tables.tsv")}
