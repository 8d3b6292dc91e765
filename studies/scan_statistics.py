"""Measure noise, contrast, fluid and resolution of real scans for the ranges of simulated patients.

    python studies/scan_statistics.py

The script measures every scan in ``$BIDS_STROKE_SHARED/data/heads`` inside its brain mask (deepbet),
and prints a row per scan and the range of each measure by contrast. The ranges of the evaluation cohort
(``studies/embedded_cohort.yaml``) are based on this output.
"""

import numpy as np
import pandas as pd
from common import DATA
from nibabel.affines import voxel_sizes
from scipy import ndimage
from sklearn.mixture import GaussianMixture

from bids_stroke.spatial import bias, brain_extraction, image

#: Initial percentiles of each tissue in the brain, from dark to bright.
TISSUES = {
    "T1w": {"fluid": 3, "gray": 40, "white": 85},
    "FLAIR": {"fluid": 3, "white": 40, "gray": 80},
    "T2w": {"white": 25, "gray": 60, "fluid": 97},
}
WITHOUT_SKULL = ("M2208_T2w", "stroke_FLAIR")


def contrast_of(path):
    """Return the contrast of a scan by its file name."""
    name = path.name.lower()
    return "FLAIR" if "flair" in name else "T2w" if "t2w" in name else "T1w"


def levels(values, contrast):
    """Fit a mixture of three Gaussians; return the intensity and name of each tissue, and the tissue of
    each voxel."""
    starts = TISSUES[contrast]
    means = np.percentile(values, list(starts.values()))[:, None]
    mixture = GaussianMixture(3, means_init=means, random_state=0).fit(values[::10, None])
    order = np.argsort(mixture.means_[:, 0])
    tissue = np.argsort(order)[mixture.predict(values[:, None])]
    names = list(starts)
    return (
        {name: float(np.median(values[tissue == i])) for i, name in enumerate(names)},
        [names[i] for i in range(3)],
        tissue,
    )


def noise(data, inside):
    """Return a robust standard deviation of the noise.

    It is based on the difference from the mean of the four neighbors along the first two axes,
    corrected for the variance of this mean.
    """
    mean = sum(np.roll(data, step, axis) for axis in (0, 1) for step in (-1, 1)) / 4
    residual = (data - mean)[ndimage.binary_erosion(inside, iterations=2)]
    return 1.4826 * np.median(np.abs(residual - np.median(residual))) / np.sqrt(1.25)


def measure(path):
    """Return the row of a scan."""
    img = image.conform(image.load(path))
    stripped = path.name.split(".")[0] in WITHOUT_SKULL
    brain = brain_extraction.extract(img, "none" if stripped else "deepbet")
    inside = np.asanyarray(brain.dataobj) > 0
    raw = img.get_fdata(dtype=np.float32)
    data = bias.correct_bias(img, brain).get_fdata(dtype=np.float32)
    contrast = contrast_of(path)
    level, names, tissue = levels(data[inside], contrast)
    white = np.zeros(inside.shape, bool)
    white[inside] = tissue == names.index("white")
    field = raw[white] / np.maximum(data[white], 1e-6)
    return {
        "scan": path.name.split(".")[0],
        "contrast": contrast,
        "gray": level["gray"] / level["white"],
        "fluid": level["fluid"] / level["white"],
        "noise": noise(data, white) / level["white"],
        "fluid_share": (tissue == names.index("fluid")).mean(),
        "field": field.std() / field.mean(),
        "in_plane_mm": float(np.sort(voxel_sizes(img.affine))[0]),
        "slice_mm": float(voxel_sizes(img.affine).max()),
        "brain_ml": inside.sum() * np.prod(voxel_sizes(img.affine)) / 1000,
    }


def main():
    """Measure every scan and print the tables."""
    scans = [p for p in sorted((DATA / "heads").glob("*/*.nii.gz")) if "DLMUSE" not in p.name]
    table = pd.DataFrame([measure(path) for path in scans])
    print(table.round(3).to_markdown(index=False))
    print("\nMinimum and maximum by contrast:\n")
    ranges = table.drop(columns="scan").groupby("contrast").agg(["min", "max"])
    print(ranges.round(3).T.to_markdown())


if __name__ == "__main__":
    main()
