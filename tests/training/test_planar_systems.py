"""S1 and S5 at toy size: every network, regime and ensemble, from scans to lesion masks."""

import json
import os
import signal
import subprocess
import sys

import bidsets
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file

from bids_stroke.cli import evaluate, models, run, train
from bids_stroke.evaluation.metrics import dice
from bids_stroke.models import catalog, fusion, inference
from bids_stroke.models.networks import planar
from bids_stroke.spatial import image
from bids_stroke.training import recipes
from bids_stroke.training.engine import slices
from bids_stroke.training.patients import groups
from bids_stroke.training.patients.patient import Patient
from bids_stroke.training.recipe_settings import Augmentation, SplitRules

pytestmark = pytest.mark.exhaustive
SIDES = (49, 58, 47)  # the template at 4 mm
SMALL = {"fc_densenet": {"features": 8, "growth": 4, "layers": 2, "depth": 3}, "vnet": {}}
THREADS = os.environ | {"OMP_NUM_THREADS": "1"}


def tiny(name, **changes):
    """An embedded recipe at 4 mm with small networks and few epochs."""
    recipe = recipes.read_content(name)
    recipe["data"] |= {"spacing": [4.0, 4.0, 4.0], "brain_extraction": "none"}
    recipe["training"] |= {"workers": 0, "batch": 1, "slices": 6}
    recipe |= changes
    for section in recipe["runs"].values():
        network = section.get("network", recipe["network"])["arguments"]
        network |= SMALL.get(network["network"], {"features": 8})
    stages_of_runs = [section["stages"] for section in recipe["runs"].values() if "stages" in section]
    for stages in (*recipe.get("regimes", {}).values(), *stages_of_runs):
        for stage in stages:
            tile = [1 if side == 1 else full for side, full in zip(stage["tile"], SIDES, strict=True)]
            epochs = 3 if stage["name"] in ("mixed", "source", "frozen") else 1
            stage |= {"tile": tile, "epochs": epochs, "cycle": epochs, "learning_rate": 1e-2}
    return recipe


def training_command(recipe, folder, datasets):
    """Command line for training a recipe."""
    path = folder / f"{recipe['name']}.yaml"
    path.write_text(yaml.safe_dump(recipe))
    arguments = [path, *datasets, folder / "run", "--labels", *datasets]
    return [sys.executable, "-m", "bids_stroke.cli.train", *map(str, arguments)]


@pytest.fixture(scope="module")
def s1(tmp_path_factory):
    """All networks in both regimes; the training is killed in the second network and continued."""
    folder = tmp_path_factory.mktemp("s1")
    source = bidsets.atlas(folder / "source", 6, radii=(16, 20))
    target = bidsets.atlas(folder / "target", 3, radii=(14, 18))
    recipe = tiny("s1", split={"validation": 1, "test": 1, "intermediate": 0.3})
    command = training_command(recipe, folder, [source, target])
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=THREADS) as killed:
        for line in killed.stderr:
            if "FCDenseNet, mixed: epoch 2 of 3" in line:
                killed.send_signal(signal.SIGKILL)
    assert killed.returncode == -signal.SIGKILL
    before = load_file(folder / "run/AttUNet/mixed/weights.safetensors")
    done = subprocess.run(command, capture_output=True, text=True, env=THREADS)
    assert done.returncode == 0, done.stderr
    command = ["search", str(folder / "run"), str(folder / "cards"), "--device", "cpu"]
    assert models.main(command) == 0
    return folder, done, before


def test_a_killed_training_continues_with_the_next_epoch(s1):
    folder, done, before = s1
    assert "AttUNet, mixed: epoch" not in done.stderr
    assert "FCDenseNet, mixed: epoch 1 of 3" not in done.stderr
    after = load_file(folder / "run/AttUNet/mixed/weights.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_each_network_is_trained_in_each_regime(s1):
    folder, done, _ = s1
    names = list(recipes.read_recipe("s1").runs)
    assert len(names) == 16 and names == list(json.loads(done.stdout))
    split = pd.read_csv(folder / "run/split.tsv", sep="\t")
    assert set(split.loc[split["part"] == "intermediate", "dataset"]) == {"source"}
    parts = split.groupby(["dataset", "part"]).size()
    mixed = json.loads((folder / "run/UNet/mixed/summary.json").read_text())
    assert mixed["scans"]["training"] == sum(parts[:, "training"]) + parts["source", "intermediate"]
    stages = {
        path.parent.name: json.loads(path.read_text())["scans"]["training"]
        for path in (folder / "run/UNet_FT").glob("*/summary.json")
    }
    assert stages["source"] == parts["source", "training"]
    assert stages["target"] == parts["target", "training"]
    regions = [stages[name] for name in stages if name.startswith("R")]
    assert sum(regions) == parts["source", "intermediate"]
    for name in names:
        model = catalog.load(folder / f"cards/{name}.yaml")
        assert model.plane == 2 and model.network.family == "planar"


def test_the_search_writes_cards_and_tables(s1):
    folder, _, _ = s1
    table = pd.read_csv(folder / "cards/search.tsv", sep="\t")
    whole = table[table["regions"] == "R1 R2 R3 R4"]
    assert (whole["method"] == "single").sum() == 16
    assert (whole["method"] == "stacking").sum() == 11  # combinations of two to four of four
    assert (whole["method"] == "agreement").sum() == 11 * 3 * 6
    best = whole[whole["method"] == "agreement"]["dice"].max()
    window = catalog.load(folder / "cards/s1-aw.yaml")
    rows = whole[
        (whole["models"] == " ".join(member.name for member in window.members))
        & (whole["window"] == window.window)
        & (whole["overlap"] == window.overlap)
    ]
    assert rows["dice"].tolist() == [best]
    by_region = catalog.load(folder / "cards/s1-regions-aw.yaml")
    assert by_region.regions == (("R1", "R4"), ("R2",), ("R3",)) and len(by_region.leaves) <= 12
    # Every network has predicted each scan of validation and test once.
    predictions = list((folder / "run/predictions").glob("*/*.npy"))
    assert len(predictions) == 16 * 2
    tables = folder / "cards/tables"
    first = (tables / "S1_table1.md").read_text()
    assert all(name in first for name in ("AttUNet", "UNet++", "VNet")) and "_FT" not in first
    assert "Agreement Window" in (tables / "S1_table2.md").read_text()
    assert "Super-Region-wise" in (tables / "S1_table3.md").read_text()
    selection = pd.read_csv(folder / "cards/selection.tsv", sep="\t")
    ensembles = selection[selection["method"].isin(["Stack", "AW", "Agreement Window"])]
    assert ensembles.groupby("scope").size().to_dict() == {
        "1 & 4": 4,
        "2": 4,
        "3": 4,
        "Whole-Brain": 2,
        "Super-Region-wise": 2,
    }


def run_app(model, folder):
    """Run the app with a model on a patient, evaluate, and return the probability map."""
    bids = bidsets.empty_dataset(folder / "bids")
    img, lesion = bidsets.scan(50, 18)
    image.save(img, bids / "sub-1/anat/sub-1_T1w.nii.gz")
    image.save(lesion, folder / "truth/sub-1/anat/sub-1_space-T1w_label-L_mask.nii.gz")
    arguments = ["participant", "--model", str(model), "--brain-extraction", "none", "--work-dir"]
    out = folder / "out"
    assert run.main([str(bids), str(out), *arguments, str(folder / "work")]) == 0
    assert evaluate.main([str(out), str(folder / "truth"), str(folder / "scores")]) == 0
    scores = pd.read_csv(folder / "scores/evaluation.tsv", sep="\t")
    assert scores["tp"].notna().all() and scores["dice"].notna().all()
    (path,) = out.glob("sub-1/anat/*space-T1w_label-L_*probseg.nii.gz")
    return image.load(path).get_fdata()


def test_the_app_with_the_agreement_window_of_super_regions(s1, tmp_path):
    folder, _, _ = s1
    probability = run_app(folder / "cards/s1-published-aw.yaml", tmp_path)
    assert probability.min() == 0 and probability.max() <= 1


@pytest.fixture(scope="module")
def s5(tmp_path_factory):
    """Networks of three planes with an encoder from a file; folder and weights of the encoder."""
    folder = tmp_path_factory.mktemp("s5")
    torch.manual_seed(1)
    encoder = planar.build("resnet50_unet", in_channels=3, features=8).net.encoder.state_dict()
    torch.save(encoder | {"fc.weight": torch.zeros(10, 256)}, folder / "encoder.pth")
    data = bidsets.atlas(folder / "data", 4, radii=(16, 20))
    recipe = tiny("s5", split={"validation": 1}, encoder=str(folder / "encoder.pth"))
    recipe["data"] |= {"contrasts": ["T1w"], "inputs": [["T1w"]]}
    recipe["network"]["arguments"]["in_channels"] = 1
    command = training_command(recipe, folder, [data])
    done = subprocess.run(command, capture_output=True, text=True, env=THREADS)
    assert done.returncode == 0, done.stderr
    assert models.main(["export", str(folder / "run"), str(folder / "cards")]) == 0
    return folder, encoder


def test_the_encoder_is_frozen_and_then_trained(s5):
    folder, encoder = s5
    for plane in ("sagittal", "coronal", "axial"):
        run = folder / f"run/s5-{plane}"
        frozen, trained = (
            load_file(run / f"{stage}/weights.safetensors") for stage in ("frozen", "all")
        )
        name = "net.encoder.layer2.0.conv2.weight"
        values = encoder[name.removeprefix("net.encoder.")]
        assert torch.equal(frozen[name], values.half())
        assert torch.equal(frozen["net.encoder.bn1.running_mean"], encoder["bn1.running_mean"])
        assert not torch.equal(trained[name], frozen[name])


def test_three_planes_vote_on_one_mask(s5):
    folder, _ = s5
    img, _ = bidsets.scan(50, 18)
    vote, confidence = (
        catalog.load(folder / f"cards/s5-{name}.yaml") for name in ("vote", "confidence")
    )
    assert [member.plane for member in vote.members] == [0, 1, 2]

    def predicted(model):
        return inference.predict(model, {"T1w": img}, bidsets.grid(), img, "cpu").get_fdata()

    planes = [predicted(member) for member in vote.members]
    assert all((plane > 0).any() for plane in planes)
    # Votes are counted on the networks' grid, so borders on the image grid differ slightly.
    assert dice(predicted(vote) >= 0.5, sum(plane >= 0.5 for plane in planes) >= 2) > 0.95
    weighted = fusion.confidence(planes, [plane >= 0.5 for plane in planes])
    assert dice(predicted(confidence) >= 0.5, weighted >= 0.5) > 0.9


def test_the_app_with_the_vote_of_three_planes(s5, tmp_path):
    folder, _ = s5
    probability = run_app(folder / "cards/s5-vote.yaml", tmp_path)
    # Votes are masks, with intermediate values only at borders.
    assert probability.min() == 0 and probability.max() == 1
    assert ((probability > 0.01) & (probability < 0.99)).sum() < (probability >= 0.99).sum()


def test_a_missing_encoder(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("BIDS_STROKE_HOME", str(tmp_path))
    data = bidsets.atlas(tmp_path / "data", 3)
    recipe = tiny("s5", split={"validation": 1})
    recipe["data"] |= {"contrasts": ["T1w"], "inputs": [["T1w"]]}
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe))
    assert train.main([str(path), str(data), str(tmp_path / "run"), "--labels", str(data)]) == 1
    assert "bids_stroke-models fetch resnet50-imagenet" in capsys.readouterr().err


def archive(folder, shape=(20, 24, 16)):
    """An archive of a scan whose intensities are voxel indices."""
    image = np.stack(np.indices(shape)).astype(np.float16) + 1
    label = np.zeros(shape, bool)
    label[5:9, 6:11, 4:12] = True
    mask = np.ones(shape, bool)
    mask[..., :3] = False
    np.savez(folder / "case.npz", image=image, label=label, mask=mask)
    return folder / "case.npz", image, label


def test_slices_of_each_plane(tmp_path):
    path, image, label = archive(tmp_path)
    for axis, tile in enumerate(((1, 24, 16), (20, 1, 16), (20, 24, 1))):
        (pictures, labels, masks) = slices.Slices([path], tile)[0]
        sides = [side for side in tile if side != 1]
        assert list(pictures.shape[1:]) == [3, *sides]
        across = pictures[:, axis].amax((1, 2)) - 1
        expected = range(3, 16) if axis == 2 else range(image.shape[axis + 1])
        assert across.tolist() == list(expected)
        assert labels.sum() == label.sum() and len(masks) == len(expected)


def test_slices_are_padded_cropped_and_drawn(tmp_path):
    path, _, label = archive(tmp_path)
    pictures, labels, _ = slices.Slices([path], (16, 32, 1))[0]
    assert pictures.shape[1:] == (3, 16, 32) and labels.sum() == label.sum()
    assert pictures[0, 0, 0, 4] == 3 and not pictures[..., :4].any()
    drawn = slices.Slices([path] * 2, (20, 24, 1), number=5)
    assert [len(part) for part in slices.collate([drawn[0], drawn[1]])] == [10, 10, 10]


def test_held_out_slices(tmp_path):
    path, _, _ = archive(tmp_path)
    held_out = SplitRules(validation=0.2, test=0.3)
    positions = []
    for part in ("training", "validation"):
        pictures, _, _ = slices.Slices([path], (20, 1, 16), held_out=held_out, part=part)[0]
        positions.append(pictures[:, 1].amax((1, 2)).tolist())
    training, validation = positions
    assert training and validation and not set(training) & set(validation)
    assert len(training) + len(validation) < 24


def test_augmentation_transforms_images_and_labels_alike():
    torch.manual_seed(0)
    label = torch.zeros(16, 1, 40, 56)
    label[:, :, 10:18, 14:30] = 1
    image, mask = 5 * label, torch.ones_like(label)
    image, moved, mask = slices.augment((image, label, mask), Augmentation(15, 0.1, 0.05, flip=True))
    assert (image[moved == 1] > 2.4).all() and (image[moved == 0] < 2.6).all()
    areas = moved.sum((1, 2, 3))
    assert areas.min() > 0.75 * 128 and areas.max() < 1.3 * 128  # only zoom changes areas
    rows = (moved * torch.arange(40)[:, None]).sum((1, 2, 3)) / areas
    assert (rows < 20).any() and (rows > 20).any()  # some are mirrored
    unchanged = slices.augment((5 * label, label, torch.ones_like(label)), Augmentation())
    torch.testing.assert_close(unchanged[1], label)


def test_patients_of_a_stage(tmp_path):
    def patient(dataset, name):
        return Patient(dataset, name, "n/a", "", ("T1w",), 1.0, True, "", tmp_path / name)

    a, c, d = (patient("atlas", name) for name in "acd")
    b = patient("own", "b")
    parts = {"training": [a, b], "intermediate": [c, d], "validation": []}
    regions = {c: "R1", d: "R4"}

    def select(group):
        return groups.select_patients(group, parts, "own", regions.get)

    assert select(None) == [a, b, c, d]
    assert select("source") == [a] and select("target") == [b]
    assert select(["R1"]) == [c] and select(["R1", "R4"]) == [c, d] and select(["R2"]) == []
