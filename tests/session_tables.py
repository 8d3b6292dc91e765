"""Tables of a session for tests of reports."""

import nibabel as nib
import numpy as np
import pandas as pd

from bids_stroke.atlases import load_columns
from bids_stroke.spatial.templates import TEMPLATE


def write(out, name):
    """Write tables and mask of a session as the pipelines do: 29 components, 1 ml in total.

    Returns
    -------
    dict of str to str
        Paths of the outputs by role, as in the record of the session.
    """
    folder = out.joinpath(*name.split("_")) / "anat"
    folder.mkdir(parents=True)
    entities = "label-L_desc-T1lesion"
    components = pd.DataFrame({"component": ["all", *range(1, 30)], "volume_ml": 1.0})
    components = components.assign(hemisphere="left", max_probability=0.9, mean_probability=0.7)
    components = components.assign(volume_template_ml=1.2, outside_brain_share=0.0)
    loads = pd.DataFrame(
        {
            "side": load_columns.ROWS,
            "lesion_side": "left",
            **{number: [0.1, 0.0, 0.1, 0.0, 0.1] for number in load_columns.NUMBERS},
            "raw_load_ml": [0.1234, 0.0, 0.1234, 0.0, 0.1234],
            "weighted_load_ml": [0.567, 0.0, 0.567, 0.0, 0.567],
            "max_slice_load": [0.2, 0.0, 0.2, 0.0, 0.2],
            "category": ["<i>small", None, "<i>small", None, "<i>small"],
            "category_status": "unvalidated",
        }
    )
    quality = pd.DataFrame({"contrast": ["T1w"], "brain_volume_ml": [1234.0], "snr": [20.0]})
    written = {
        f"{name}_space-T1w_{entities}_morph.tsv": components,
        f"{name}_space-{TEMPLATE}_atlas-JuelichCST_{entities}_morph.tsv": loads,
        f"{name}_desc-quality_morph.tsv": quality,
    }
    for file, table in written.items():
        table.to_csv(folder / file, sep="\t", index=False, na_rep="n/a")
    mask = nib.Nifti1Image(np.ones((2, 2, 2), np.uint8), np.eye(4))
    nib.save(mask, folder / f"{name}_space-{TEMPLATE}_res-1_{entities}_mask.nii.gz")
    names = [*written, f"{name}_space-{TEMPLATE}_res-1_{entities}_mask.nii.gz"]
    roles = ("components", "loads@JuelichCST", "image_quality", f"lesion_mask@{TEMPLATE}")
    paths = ((folder / file).relative_to(out).as_posix() for file in names)
    return dict(zip(roles, paths, strict=True))
