"""Interfaces to :mod:`bids_stroke.evaluation`."""

from pathlib import Path

import nibabel as nib
import pandas as pd

from bids_stroke.bids.derivatives import write_tsv
from bids_stroke.evaluation.correction import measure_correction

from .base import ImageInterface, Outputs, existing, image_file, inputs, outputs


class CompareCorrection(ImageInterface):
    """Compare the lesion mask of a model with the corrected mask."""

    input_spec = inputs(
        model=image_file("lesion mask of the model"), lesion=image_file("corrected mask, same grid")
    )
    output_spec = outputs(out_table=existing("a row with Dice and volumes"))

    def _run_on(self, folder: Path, model: nib.Nifti1Image, lesion: nib.Nifti1Image) -> Outputs:
        table = pd.DataFrame([measure_correction(model, lesion)])
        return {"out_table": write_tsv(table, folder / "agreement.tsv")}
