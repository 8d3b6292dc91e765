"""S2 at toy size, from scans in template space to a lesion mask, with a killed training."""

import json
import os
import signal
import subprocess
import sys

import bidsets
import numpy as np
import pytest
import yaml
from safetensors.torch import load_file

from bids_stroke.cli import models, train
from bids_stroke.errors import DatasetError
from bids_stroke.models import catalog, inference
from bids_stroke.training import recipes
from bids_stroke.training.engine import tiles
from bids_stroke.training.patients import preparation
from bids_stroke.training.patients.arrays import arrays

pytestmark = pytest.mark.slow


def recipe(folder, **changes):
    """The recipe s2 at 4 mm with a small network."""
    tiny = recipes.read_content("s2")
    tiny["data"] |= {"spacing": [4.0, 4.0, 4.0], "brain_extraction": "none"}
    tiny["split"] = {"validation": 1, "test": 1}
    small = {"features": 8, "groups": 4, "encoder": [1, 1, 1], "decoder": [1, 1]}
    tiny["network"]["arguments"] |= small
    tiny["training"]["workers"] = 0
    tiny["stages"] = [
        {"name": "zoom-in", "tile": [24] * 3, "epochs": 6, "learning_rate": 0.01, "cycle": 6},
        {
            "name": "zoom-out",
            "tile": [36, 44, 42],
            "epochs": 6,
            "learning_rate": 3e-3,
            "cycle": 2,
            "snapshots": [2, 4, 6],
        },
    ]
    tiny["card"] |= {"tile": [36, 44, 42], "window": [36, 44, 42]}
    tiny |= changes
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(tiny))
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A training that is killed in its second stage and continued, and its exported cards."""
    folder = tmp_path_factory.mktemp("s2")
    atlas = bidsets.atlas(folder / "atlas", 7, radii=(12, 16, 20))
    arguments = [recipe(folder), atlas, folder / "run", "--labels", atlas]
    command = [sys.executable, "-m", "bids_stroke.cli.train", *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as killed:
        for line in killed.stderr:
            if "zoom-out: epoch 3 of 6" in line:
                killed.send_signal(signal.SIGKILL)
    assert killed.returncode == -signal.SIGKILL
    before = load_file(folder / "run/zoom-out/snapshot-2.safetensors")
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert models.main(["export", str(folder / "run"), str(folder / "cards")]) == 0
    return atlas, folder, done, before


def test_a_killed_training_continues(trained):
    _, folder, done, before = trained
    assert "is prepared" in done.stderr and "zoom-in: epoch" not in done.stderr
    assert "zoom-out: epoch 2 of 6" not in done.stderr and "zoom-out: epoch 6 of 6" in done.stderr
    after = load_file(folder / "run/zoom-out/snapshot-2.safetensors")
    assert all(np.array_equal(before[name], after[name]) for name in before)
    summary = json.loads((folder / "run/zoom-out/summary.json").read_text())
    assert summary["epochs"] == 6 and summary["scans"] == {"training": 5, "validation": 1}
    metrics = (folder / "run/zoom-out/log").rglob("metrics.csv")
    assert all("val_dice" in path.read_text() for path in metrics)


def test_a_folder_with_another_recipe_is_an_error(trained, tmp_path, capsys):
    atlas, folder, *_ = trained
    arguments = [recipe(tmp_path, seed=1), atlas, folder / "run", "--labels", atlas]
    assert train.main(list(map(str, arguments))) == 2
    assert "run contains a training by another recipe; give another folder" in capsys.readouterr().err


def test_a_split_without_validation(tmp_path, capsys):
    """The networks are trained; the summary has no validation scores."""
    atlas = bidsets.atlas(tmp_path / "atlas", 2)
    names = sorted(path.name for path in atlas.glob("sub-*"))
    rows = ["participant_id\tpart", *(f"{name}\ttraining" for name in names)]
    (tmp_path / "split.tsv").write_text("\n".join(rows))
    stage = {"name": "zoom-in", "tile": [24] * 3, "epochs": 1, "learning_rate": 0.01, "cycle": 1}
    arguments = [recipe(tmp_path, stages=[stage]), atlas, tmp_path / "run", "--labels", atlas]
    arguments += ["--split", tmp_path / "split.tsv"]
    assert train.main(list(map(str, arguments))) == 0
    output = capsys.readouterr()
    assert "the split has no subject for validation" in output.err
    summary = json.loads(output.out)["zoom-in"]
    assert summary["scans"] == {"training": 2, "validation": 0} and "val_dice" not in summary


def test_the_ensemble_of_snapshots_detects_a_lesion(trained):
    _, folder, _, _ = trained
    img, lesion = bidsets.scan(50, 18)
    ensemble = catalog.load(folder / "cards/s2-E.yaml")
    assert [member.name for member in ensemble.members] == ["s2-2", "s2-4", "s2-6"]
    predicted = inference.predict(ensemble, {"T1w": img}, bidsets.grid(), img, "cpu").get_fdata()
    # After six epochs, the location of the lesion is right; its extent depends on the hardware.
    inside = np.asanyarray(lesion.dataobj) > 0
    around = (np.asanyarray(img.dataobj) > 0) & ~inside
    assert predicted[inside].mean() > 2 * predicted[around].mean()


def test_the_probability_is_zero_outside_the_window(trained):
    _, folder, _, _ = trained
    model = catalog.load(folder / "cards/s2.yaml")
    img, _ = bidsets.scan(50, 18)
    probability = inference.predict(model, {"T1w": img}, bidsets.grid(), img, "cpu")
    inside = [(side - size) // 2 for side, size in zip(img.shape, model.window, strict=True)]
    outer = np.ones(img.shape, bool)
    # The affine to the template may shift the window by one or two voxels.
    sides = zip(inside, img.shape, strict=True)
    outer[tuple(slice(max(n - 2, 0), side - n + 2) for n, side in sides)] = False
    assert not probability.get_fdata()[outer].any()


def test_tiles_that_are_too_large_and_scans_without_lesion_are_errors(tmp_path):
    atlas = bidsets.atlas(tmp_path / "atlas", 1)
    (patient,) = preparation.prepare_patients(
        [(atlas, atlas)], ("T1w",), tmp_path / "c", "none", report=lambda _: None
    )
    path = arrays(patient, ("T1w",), "native", [4.0, 4.0, 4.0], tmp_path)
    tiles.check([path], (32, 32, 32), "training")
    with pytest.raises(DatasetError, match="128×128×128 voxels is too large"):
        tiles.check([path], (128, 128, 128), "training")
    with np.load(path) as archive:
        content = dict(archive)
    np.savez(tmp_path / "empty.npz", **content | {"label": np.zeros_like(content["label"])})
    with pytest.raises(DatasetError, match="None of the 1 scans for training contains a lesion"):
        tiles.check([tmp_path / "empty.npz"], (32, 32, 32), "training")


def test_tiles_contain_one_set_of_contrasts(tmp_path):
    image = np.ones((3, 20, 20, 20), np.float16)
    image[2] = 0  # this scan has no T2w
    label = np.zeros((20, 20, 20), bool)
    label[3:9, 4:8, 5:9] = True
    np.savez(tmp_path / "case.npz", image=image, label=label, mask=np.ones_like(label))
    inputs = [["T1w", "FLAIR"], ["FLAIR"], ["T2w"]]
    contrasts = ("T1w", "FLAIR", "T2w")
    dataset = tiles.Tiles([tmp_path / "case.npz"], (16, 24, 20), contrasts, inputs, flip=True)
    drawn = set()
    for _ in range(40):
        shape, (tile, lesion, brain) = (16, 24, 20), dataset[0]
        assert tile.shape[1:] == lesion.shape[1:] == brain.shape[1:] == shape
        assert brain.sum() == 16 * 20 * 20  # padded in the second axis
        drawn.add(tuple(bool(channel.any()) for channel in tile))
    assert drawn == {(True, True, False), (False, True, False)}
    central = tiles.Tiles([tmp_path / "case.npz"], (16, 24, 20), contrasts, inputs, random=False)
    assert (central[0][0] == central[0][0]).all()
    assert central[0][1].sum() == label.sum()


def test_invalid_command_lines(tmp_path, capsys):
    for arguments, words in (
        (["s2", "out"], "give a BIDS dataset before OUT"),
        (["s2", "bids", "out"], "--labels has 0 folders of masks for 1 datasets"),
        (["embedded", "bids", "out"], "trains on simulated strokes"),
        (["s2", str(tmp_path), str(tmp_path / "o"), "--labels", "x", "--fold", "1"], "--fold 1"),
        *(
            (["s2", "bids", "out", "--labels", "x", option, "5"], f"{option} has no effect on a train")
            for option in ("--minutes", "--decay", "--data")
        ),
        *(
            (["embedded", "out", "--data", "d", option, "5"], f"{option} has no effect on a training")
            for option in ("--split", "--fold", "--nprocs")
        ),
        (["embedded", "out", "--data", "d", "--minutes", "0"], "give a positive number"),
        (["embedded", "out", "--data", "d", "--initial", "m", "--decay", "c"], "remove --initial"),
    ):
        assert train.main(arguments) == 2
        assert words in capsys.readouterr().err
