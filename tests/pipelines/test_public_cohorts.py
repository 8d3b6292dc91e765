"""Group-level tables of datasets like ARC and ATLAS, with two tracts and two atlases, recalculated."""

import itertools
import subprocess
import sys
from pathlib import Path

import bidsets
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nibabel.affines import apply_affine, from_matvec
from scipy import ndimage

from bids_stroke.atlases import tracts
from bids_stroke.cli.run import main
from bids_stroke.spatial import image, templates

pytestmark = pytest.mark.slow

SPACE = bidsets.SPACE
LOADS = ("raw_load_ml", "weighted_load_ml", "max_slice_load")
NAMES = ["front", "back"]


@pytest.fixture(scope="module")
def maps(tmp_path_factory):
    """A tract and labels on the grid of the template, and region probabilities on a grid of 2 mm."""
    folder = tmp_path_factory.mktemp("maps")
    grid = templates.template_grid()
    x, y, z = np.moveaxis(apply_affine(grid.affine, np.moveaxis(np.indices(grid.shape), 0, -1)), -1, 0)
    tube = np.exp(-((np.abs(x) - 25) ** 2 + (y + 15) ** 2) / (50 + z / 2)) * (np.abs(z) <= 60)
    image.save(
        nib.Nifti1Image(tube.astype(np.float32), grid.affine), folder / f"space-{SPACE}_tube.nii.gz"
    )
    labels = (1 + (y < -15)) * (np.abs(x) < 60)
    image.save(
        nib.Nifti1Image(labels.astype(np.int16), grid.affine),
        folder / f"atlas-halves_space-{SPACE}_dseg.nii.gz",
    )
    coarse = from_matvec(np.diag([2.0, 2.0, 2.0]), [-90, -125, -71])
    position = apply_affine(coarse, np.moveaxis(np.indices((91, 109, 91)), 0, -1))[..., 1]
    front = 1 / (1 + np.exp(-(position + 15) / 10))
    stack = np.stack([front, 0.8 * (1 - front)], axis=-1).astype(np.float32)
    image.save(nib.Nifti1Image(stack, coarse), folder / f"atlas-smooth_space-{SPACE}_probseg.nii.gz")
    for name in ("halves", "smooth"):
        (folder / f"{name}.tsv").write_text("index\tname\n1\tfront\n2\tback\n")
    return folder


@pytest.fixture(scope="module", params=["ATLAS", pytest.param("ARC", marks=pytest.mark.exhaustive)])
def out(request, maps, tmp_path_factory):
    """Derivatives of both levels."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "ARC":
        data, masks = bidsets.arc(folder / "bids")
    else:
        data = masks = bidsets.atlas(folder / "bids", 2, radii=(14, 9))
    arguments = [str(data), str(folder / "out")]
    atlases = [
        maps / f"atlas-{name}_space-{SPACE}_{kind}.nii.gz"
        for name, kind in (("halves", "dseg"), ("smooth", "probseg"))
    ]
    options = [
        "--lesion-derivatives",
        masks,
        "--brain-extraction",
        "none",
        "--tract",
        "juelich-cst",
        maps / f"space-{SPACE}_tube.nii.gz",
        "--atlas",
        *atlases,
        "--atlas-labels",
        maps / "halves.tsv",
        maps / "smooth.tsv",
    ]
    assert main([*arguments, "participant", *map(str, options)]) == 0
    assert main([*arguments, "group"]) == 0
    return folder / "out"


def read(out, name):
    return pd.read_csv(out / f"{name}.tsv", sep="\t")


def template_mask(out, row):
    """Return the lesion mask in template space of a table row."""
    anat = out / row["participant_id"] / row["session_id"] / "anat"
    (path,) = anat.glob(f"*_space-{SPACE}_res-1_label-L_*mask.nii.gz")
    return nib.load(path)


def plain_loads(mask, probability):
    """Compute the loads of one side directly from the formulas."""
    areas = probability.sum((0, 1), dtype=float)
    hits = (mask * probability).sum((0, 1), dtype=float)
    inside = areas > 0
    shares = hits[inside] / areas[inside]
    counted = probability.max((0, 1))[inside] >= 0.5
    return hits.sum() / 1000, areas.max() * shares.sum() / 1000, shares[counted].max()


def sides_of(name, maps):
    """Return the left and right probability maps of a tract."""
    if name == "cst":
        return {key: np.asarray(img.dataobj) for key, img in tracts.load_tract().items()}
    img = nib.load(maps / f"space-{SPACE}_tube.nii.gz")
    x = img.affine[0, 3] + img.affine[0, 0] * np.arange(img.shape[0])
    right = (1 + np.sign(x))[:, None, None] / 2
    return {"L": img.get_fdata() * (1 - right), "R": img.get_fdata() * right}


def test_loads(out, maps):
    wide, short, long = (read(out, name) for name in ("group_lesion", "group_short", "group_tracts"))
    start = ["participant_id", "session_id"]
    assert wide[start].equals(short[start]) and len(short.columns) == 9 + 2 * 6
    for (_, row), name in itertools.product(wide.iterrows(), ("cst", "tube")):
        mask = np.asarray(template_mask(out, row).dataobj) > 0
        assert row["lesion_volume_mni_ml"] == pytest.approx(mask.sum() / 1000)
        (summary,) = short[short["participant_id"] == row["participant_id"]].to_dict("records")
        expected = {key: plain_loads(mask, side) for key, side in sides_of(name, maps).items()}
        total = [*np.sum(list(expected.values()), axis=0)[:2], max(e[2] for e in expected.values())]
        for side, values in {"left": expected["L"], "right": expected["R"], "total": total}.items():
            rows = long[(long["participant_id"] == row["participant_id"]) & (long["side"] == side)]
            label = "JuelichCST" if name == "cst" else name
            (measured,) = rows[rows["atlas"] == label][list(LOADS)].to_numpy()
            assert measured == pytest.approx(values, rel=1e-4, abs=1e-6)
            columns = [f"{name}_{load}_{side}" for load in LOADS]
            assert row[columns].to_list() == pytest.approx(values, rel=1e-4, abs=1e-6)
            if side == "total":
                assert [summary[column] for column in columns] == row[columns].to_list()


def test_regions(out, maps):
    wide, long = read(out, "group_lesion"), read(out, "group_regions")
    assert not any(name.startswith(("halves", "smooth")) for name in wide)
    labels = np.asarray(nib.load(maps / f"atlas-halves_space-{SPACE}_dseg.nii.gz").dataobj)
    smooth = nib.load(maps / f"atlas-smooth_space-{SPACE}_probseg.nii.gz")
    for _, row in wide.iterrows():
        img = template_mask(out, row)
        voxels = np.argwhere(np.asarray(img.dataobj) > 0)
        places = apply_affine(np.linalg.inv(smooth.affine) @ img.affine, voxels).T
        expected = {
            "halves": [np.mean(labels[tuple(voxels.T)] == number) for number in (1, 2)],
            "smooth": [
                ndimage.map_coordinates(volume, places, order=1).mean()
                for volume in np.moveaxis(smooth.get_fdata(), -1, 0)
            ],
        }
        for atlas, shares in expected.items():
            rows = long[(long["participant_id"] == row["participant_id"]) & (long["atlas"] == atlas)]
            regions = rows.set_index("region")
            assert regions.loc[NAMES, "lesion_share"].to_list() == pytest.approx(shares, abs=1e-5)
            assert regions["lesion_volume_ml"].sum() == pytest.approx(
                row["lesion_volume_mni_ml"], rel=1e-4
            )


def test_the_validator_finds_no_error(out):
    validator = Path(sys.executable).with_name("bids-validator-deno")
    done = subprocess.run([validator, out, "--format", "json"], capture_output=True, text=True)
    assert '"severity": "error"' not in done.stdout and '"issues"' in done.stdout
