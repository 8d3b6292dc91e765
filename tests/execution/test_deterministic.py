"""Reproducibility: identical results with one thread, nearly identical with several threads."""

import json
import os
import subprocess
import sys

import bidsets
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from faults.running import differences, run

from bids_stroke.cli import parser
from bids_stroke.errors import UsageError
from bids_stroke.evaluation.metrics import dice
from bids_stroke.spatial import image
from bids_stroke.spatial.transforms import move_points

pytestmark = pytest.mark.slow

NORMALIZE = """
import sys
import bidsets
import numpy as np
from bids_stroke.spatial import image, normalization
normalization.WARP_SPACING_MM = 4.0  # for speed
img, lesion = bidsets.scan(1)
brain = image.like(img.get_fdata() > 0, img, np.uint8)
normalization.normalize(img, brain, lesion, sys.argv[1])
"""


def test_normalization_is_the_same_with_several_threads(tmp_path):
    """Lesion filling, affine registration and SyN, twice: all points are mapped identically."""
    environment = os.environ | {"ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "2"}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    points = np.random.default_rng(0).uniform(-60, 60, (1000, 3))
    moved = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        command = [sys.executable, "-c", NORMALIZE, str(tmp_path / name)]
        subprocess.run(command, env=environment, check=True)
        moved.append(move_points(points, [tmp_path / name / "to-template.h5"]))
    assert np.array_equal(*moved) and np.linalg.norm(moved[0] - points, axis=1).mean() > 1


def test_one_thread_for_each_session(tmp_path):
    arguments = [str(tmp_path), str(tmp_path / "out"), "participant", "--skip-bids-validation"]
    settings = parser.parse([*arguments, "--deterministic"])
    assert settings.deterministic and settings.omp_nthreads == 1
    with pytest.raises(UsageError, match="one thread per session"):
        parser.parse([*arguments, "--deterministic", "--omp-nthreads", "2"])


@pytest.mark.exhaustive
def test_the_same_images_again(tmp_path):
    """Twice with ``--deterministic``, and with one and with two threads without it."""
    bids = bidsets.empty_dataset(tmp_path / "bids")
    for contrast, bright in (("T1w", 1.0), ("FLAIR", -1.0)):
        img, _ = bidsets.scan(1, contrast=bright, voxel=2)
        image.save(img, bids / f"sub-01/anat/sub-01_{contrast}.nii.gz")
    option_sets = {
        "first": ["--deterministic"],
        "second": ["--deterministic"],
        "one": ["--omp-nthreads", "1"],
        "two": ["--omp-nthreads", "2", "--nprocs", "2"],
    }
    seconds = {}
    for name, options in option_sets.items():
        out = tmp_path / name
        done = run(bids, out, "participant", "--brain-extraction", "none", *options)
        assert done.returncode == 0, done.stderr
        assert run(bids, out, "group").returncode == 0
        seconds[name] = json.loads((out / "logs/sub-01_run.json").read_text())["seconds"]
    assert differences(tmp_path / "first", tmp_path / "second") == []
    lesion = "sub-01/anat/sub-01_space-T1w_label-L_desc-T1FLAIRlesion_mask.nii.gz"
    masks = [nib.load(tmp_path / name / lesion).dataobj for name in ("one", "two")]
    assert dice(*masks) >= 0.9999
    paths = [tmp_path / name / "group_lesion.tsv" for name in ("one", "two")]
    tables = [pd.read_csv(path, sep="\t").iloc[0] for path in paths]
    for column in ("lesion_volume_ml", "brain_volume_ml"):
        assert tables[1][column] == pytest.approx(tables[0][column], rel=1e-3)
    print("seconds:", seconds)
