"""Results folders of nnU-Net v1 as models; predictions must equal those of its method."""

import json
import pickle
import shutil
from contextlib import nullcontext
from pathlib import Path

import cards
import nnunets
import nnunets_v1
import numpy as np
import pytest
import torch

from bids_stroke.compute import devices
from bids_stroke.errors import ModelError
from bids_stroke.models import catalog, inference, weights
from bids_stroke.models.adaptation import adapt_model
from bids_stroke.models.card import Plan
from bids_stroke.models.nnunet import results_folder
from bids_stroke.training.export import export

# Spacing and patch of the plan (z, y, x), axis order, anisotropic kernels, use of the mask; shape and
# voxel size of the image (x, y, z).
CASES = {
    "isotropic": (((2, 2, 2), (16, 24, 20), (0, 1, 2), False, True), (60, 50, 40), (1.5, 1.6, 1.7)),
    "unmasked": (((3, 3, 3), (24, 24, 24), (0, 1, 2), False, False), (40, 36, 34), (1.7, 1.7, 1.7)),
    "thick": (((6, 1.5, 1.5), (8, 32, 32), (0, 1, 2), True, True), (70, 66, 14), (1, 1.2, 6.6)),
    "sagittal": (((6, 1.5, 1.5), (8, 32, 32), (2, 0, 1), True, True), (14, 66, 70), (6.6, 1.2, 1)),
}


@pytest.mark.slow
@pytest.mark.parametrize(("case", "mirror"), [*((case, False) for case in CASES), ("isotropic", True)])
def test_predictions_equal_those_of_nnunet_v1(case, mirror, tmp_path, monkeypatch):
    settings, shape, zooms = CASES[case]
    folds = 2 if case == "isotropic" else 1
    content = nnunets_v1.plans(("T1", "FLAIR"), *settings)
    folder = nnunets_v1.write(tmp_path / "model", content, folds)
    images = [nnunets.brain(shape, zooms, seed)[0] for seed in (1, 2)]
    mask = nnunets.brain(shape, zooms, 1)[1]
    inside = np.asanyarray(mask.dataobj) > 0
    expected = nnunets_v1.reference(folder, content, images, range(folds), mirror)
    assert 0.02 < (expected[inside] > 0.5).mean() < 0.98
    monkeypatch.setattr(devices, "fast_arithmetic", lambda device: nullcontext())
    by_contrast = dict(zip(("T1w", "FLAIR"), images, strict=True))
    model = catalog.load(folder)
    predicted = inference.predict(model, by_contrast, mask, images[0], "cpu", mirror).get_fdata()
    np.testing.assert_array_equal(predicted > 0.5, (expected > 0.5) & inside)
    np.testing.assert_allclose(predicted[inside], expected[inside], atol=1e-4)


PLANS = nnunets_v1.plans(("T1",), (2, 2, 2), (16, 16, 16))
STAGE = PLANS["plans_per_stage"][0]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return nnunets_v1.write(tmp_path_factory.mktemp("v1") / "model", PLANS, steps=0)


@pytest.fixture
def folder(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "model")


def refusal(folder):
    with pytest.raises(ModelError) as caught:
        catalog.load(f"nnunet:{folder}")
    return str(caught.value)


def test_the_card_of_a_results_folder(folder):
    card = catalog.load(folder)
    assert card.name == "Task100_Toy" and "3 scans" in card.trained_on
    assert card.plan == Plan((0, 1, 2), (True,), 3, (0, 1, 2), version=1)
    assert '"version": 1' in card.identity()
    assert results_folder.read_brain_network(folder).labels == ("1",)


def test_plans_of_nnunet_v2_do_not_change_the_identity_of_a_card():
    card = cards.make(normalization="nnunet", plan=Plan((0, 1, 2), (True,), 3, ()))
    assert "version" not in card.identity()


def test_the_network_of_all_patients_and_the_best_checkpoint(folder):
    checkpoint = folder / "fold_0" / nnunets_v1.MODEL
    checkpoint.rename(checkpoint.with_name("model_best.model"))
    checkpoint.with_name(f"{checkpoint.name}.pkl").rename(checkpoint.with_name("model_best.model.pkl"))
    (folder / "fold_0").rename(folder / "all")
    for choice in ("", "?folds=all", "?folds=all&checkpoint=model_best.model"):
        card = catalog.load(f"nnunet:{folder}{choice}")
        assert card.weights.file == str(folder / "all/model_best.model")


@pytest.mark.parametrize(("init", "patch"), [(0, 16), (1, 32)])
def test_the_stage_of_the_checkpoint_is_used(init, patch, tmp_path):
    full = STAGE | {"patch_size": np.array([32, 32, 32])}
    content = PLANS | {"num_stages": 2, "plans_per_stage": {0: STAGE, 1: full}}
    folder = nnunets_v1.write(tmp_path / "model", content, steps=0, init=init)
    assert catalog.load(folder).tile == (patch, patch, patch)


def test_dataset_json_names_the_channels(tmp_path):
    content = PLANS | {"modalities": {0: "MRI"}}
    folder = nnunets_v1.write(tmp_path / "model", content, steps=0)
    message = refusal(folder)
    assert "its channels are MRI; " in message
    assert 'write them to dataset.json in this folder, as "modality": {"0": "T1w"}' in message
    dataset = {"modality": {"0": "T1w"}, "labels": {"0": "background", "1": "lesion"}, "name": "ATLAS"}
    (folder / "dataset.json").write_text(json.dumps(dataset))
    card = catalog.load(folder)
    assert (card.name, card.channels[0].contrast) == ("ATLAS", "T1w")
    dataset["modality"]["1"] = "FLAIR"
    (folder / "dataset.json").write_text(json.dumps(dataset))
    assert "dataset.json names 2 channels, but the network has 1" in refusal(folder)


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"normalization_schemes": {0: "CT"}}, {}, "the normalization ['CT'] is not supported"),
        (
            {"plans_per_stage": {0: STAGE | {"patch_size": np.array([16, 16])}}},
            {},
            "2D configurations are not supported; train 3d_fullres",
        ),
        (
            {"preprocessor_name": "PreprocessorFor3D_NoResampling"},
            {},
            "the preprocessing PreprocessorFor3D_NoResampling is not supported",
        ),
        ({"all_classes": [1, 2]}, {}, "its labels are background, 1, 2; they must be background and"),
        (
            {"plans_per_stage": {0: STAGE, 1: STAGE}},
            {"init": None},
            "states the stage None, but there are 2",
        ),
        ({}, {"trainer": "nnUNetTrainerV2CascadeFullRes"}, "CascadeFullRes is not supported; give a"),
        ({}, {"trainer": "nnUNetTrainerV2_GN"}, "the trainer nnUNetTrainerV2_GN is not supported"),
    ],
)
def test_networks_that_are_not_supported(changes, options, message, tmp_path):
    folder = nnunets_v1.write(tmp_path / "model", PLANS | changes, steps=0, **options)
    assert message in refusal(folder)


def test_files_that_are_missing(folder):
    path = folder / "fold_0" / nnunets_v1.MODEL
    path.with_name(f"{path.name}.pkl").unlink()
    assert "model_final_checkpoint.model.pkl is missing; copy it from the same" in refusal(folder)
    path.unlink()
    expected = f"{folder} has no model_final_checkpoint.model or model_best.model in any fold_* folder."
    assert refusal(folder) == expected


class Code:
    """Object whose pickle creates a file when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_code_in_a_pickle_is_not_executed(folder, tmp_path):
    path = folder / "fold_0" / f"{nnunets_v1.MODEL}.pkl"
    content = pickle.loads(path.read_bytes())
    nnunets_v1.save(path, content | {"class": Code(tmp_path / "executed")})
    message = refusal(folder)
    assert f"{path} cannot be read as plans of nnU-Net v1 (it contains pathlib." in message
    assert not (tmp_path / "executed").exists()


def test_code_in_a_checkpoint_is_not_executed(folder, tmp_path):
    torch.save({"state_dict": Code(tmp_path / "executed")}, folder / "fold_0" / nnunets_v1.MODEL)
    with pytest.raises(ModelError, match="cannot be read as an nnU-Net checkpoint"):
        weights.load(catalog.load(folder))
    assert not (tmp_path / "executed").exists()


def test_a_damaged_pickle(folder):
    path = folder / "fold_0" / f"{nnunets_v1.MODEL}.pkl"
    path.write_bytes(path.read_bytes()[:-20])
    message = refusal(folder)
    assert f"{path} cannot be read as plans of nnU-Net v1" in message
    assert "copy it again from its source." in message


@pytest.mark.parametrize("protocol", [2, 5])
def test_pickles_of_other_protocols(folder, protocol):
    path = folder / "fold_0" / f"{nnunets_v1.MODEL}.pkl"
    path.write_bytes(pickle.dumps(pickle.loads(path.read_bytes()), protocol))
    assert catalog.load(folder).tile == (16, 16, 16)


def test_checkpoints_of_earlier_versions_of_pytorch(folder, tmp_path):
    """Before version 1.6, PyTorch did not write zip files."""
    earlier = nnunets_v1.write(tmp_path / "earlier", PLANS, steps=0, zipped=False)
    states = [weights.load(catalog.load(path)).state_dict() for path in (folder, earlier)]
    for name, values in states[0].items():
        torch.testing.assert_close(states[1][name], values, rtol=0, atol=0)


def test_weights_of_another_network(folder):
    path = folder / "fold_0" / nnunets_v1.MODEL
    checkpoint = torch.load(path, weights_only=False)
    checkpoint["state_dict"]["conv_blocks_context.0.blocks.0.instnorm.running_mean"] = torch.zeros(4)
    torch.save(checkpoint, path)
    with pytest.raises(ModelError, match="do not fit its network; check that the trainer is nnUNet"):
        weights.load(catalog.load(folder))


def test_a_network_starts_a_training_by_nnunet_v2(folder, tmp_path):
    network = nnunets.architecture(features=nnunets_v1.FEATURES)
    planned = nnunets.write(tmp_path / "v2", network, (2, 2, 2), (16, 16, 16), steps=0)
    target = catalog.load(planned)
    path, report = adapt_model(catalog.load(folder), ("T1w", "FLAIR"), tmp_path, target=target)
    assert set(report.counts()) == {"expanded", "copied"}
    assert catalog.load(path).plan.version == 2


@pytest.mark.slow
def test_exported_and_adapted_networks_predict_as_the_results_folder(folder, tmp_path):
    t1w, mask = nnunets.brain((40, 44, 36), (1.8, 1.8, 1.8), 3)
    flair = nnunets.brain(t1w.shape, (1.8, 1.8, 1.8), 9)[0]
    source = catalog.load(folder)
    (exported,) = export(folder, tmp_path / "exported", "mine")
    adapted, report = adapt_model(source, ("T1w", "FLAIR"), tmp_path / "adapted", "zeros")
    assert set(report.counts()) == {"expanded", "copied"}
    expected = inference.predict(source, {"T1w": t1w}, mask, t1w, "cpu").get_fdata()
    assert expected.std() > 0.01
    images = {"T1w": t1w, "FLAIR": flair}
    for path, inputs in ((exported, {"T1w": t1w}), (adapted, images)):
        predicted = inference.predict(catalog.load(path), inputs, mask, t1w, "cpu").get_fdata()
        np.testing.assert_allclose(predicted, expected, atol=1e-6 if path == exported else 2e-2)
