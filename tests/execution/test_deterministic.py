"""The same input gives the same output: to the last digit with one thread, nearly so with more."""

import json
import os
import subprocess
import sys

import bidsets
import nibabel as nib
import pandas as pd
import pytest
from faults.running import differences, run

from bids_stroke.cli import parser
from bids_stroke.errors import UsageError
from bids_stroke.evaluation.metrics import dice
from bids_stroke.spatial import image

REGISTER = """
import bidsets
from bids_stroke.spatial import registration
(one, _), (other, _) = (bidsets.scan(1, shift=shift) for shift in ((0, 0, 0), (6, 4, 2)))
images = map(registration.to_ants, (one, other))
found = registration.register(*images, type_of_transform="Affine", **registration.AFFINE)
print(open(found.forward[0], "rb").read().hex())
"""


def test_registrations_start_from_the_same_random_numbers():
    environment = os.environ | {"ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    command = [sys.executable, "-c", REGISTER]
    found = [
        subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert found[0] == found[1] and len(found[0]) > 100


def test_one_thread_for_each_session(tmp_path):
    arguments = [str(tmp_path), str(tmp_path / "out"), "participant", "--skip-bids-validation"]
    settings = parser.parse([*arguments, "--deterministic"])
    assert settings.deterministic and settings.omp_nthreads == 1
    with pytest.raises(UsageError, match="one thread a session"):
        parser.parse([*arguments, "--deterministic", "--omp-nthreads", "2"])


@pytest.mark.skipif(
    "BIDS_STROKE_SLOW" not in os.environ, reason="runs four sessions; set BIDS_STROKE_SLOW=1"
)
def test_the_same_images_again(tmp_path):
    """Twice with ``--deterministic``, and with one and with two threads without it."""
    bids = bidsets.start(tmp_path / "bids")
    for contrast, bright in (("T1w", 1.0), ("FLAIR", -1.0)):
        img, _ = bidsets.scan(1, contrast=bright, voxel=2)
        image.save(img, bids / f"sub-01/anat/sub-01_{contrast}.nii.gz")
    ways = {
        "first": ["--deterministic"],
        "second": ["--deterministic"],
        "one": ["--omp-nthreads", "1"],
        "two": ["--omp-nthreads", "2", "--nprocs", "2"],
    }
    seconds = {}
    for name, options in ways.items():
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
