"""Results folders of nnU-Net as models; predictions must equal those of nnU-Net itself."""

import shutil
from contextlib import nullcontext
from importlib.util import find_spec

import nnunets
import numpy as np
import pytest
import torch

from bids_stroke.compute import devices
from bids_stroke.errors import ModelError
from bids_stroke.evaluation.metrics import dice
from bids_stroke.models import catalog, inference
from bids_stroke.models.adaptation import adapt_model
from bids_stroke.training.export import export

pytestmark = pytest.mark.slow

# Network, anisotropic kernels; spacing and patch of the plan (z, y, x); shape and voxel size of the
# image (x, y, z); axis order of the plan.
PLAIN, RESIDUAL = "PlainConvUNet", "ResidualEncoderUNet"
CASES = {
    "isotropic": (PLAIN, False, (2, 2, 2), (16, 24, 20), (60, 50, 40), (1.5, 1.6, 1.7), (0, 1, 2)),
    "thick": (PLAIN, True, (6, 1.5, 1.5), (8, 32, 32), (70, 66, 14), (1, 1.2, 6.6), (0, 1, 2)),
    "sagittal": (PLAIN, True, (6, 1.5, 1.5), (8, 32, 32), (14, 66, 70), (6.6, 1.2, 1), (2, 0, 1)),
    "small": (RESIDUAL, False, (2, 2, 2), (32, 32, 32), (40, 36, 34), (1, 1, 1), (0, 1, 2)),
}


@pytest.mark.skipif(
    find_spec("nnunetv2") is None, reason="nnunetv2 is not installed: pip install .[nnunet]"
)
@pytest.mark.parametrize(("case", "mirror"), [*((case, False) for case in CASES), ("isotropic", True)])
def test_predictions_equal_those_of_nnunet(case, mirror, tmp_path, monkeypatch):
    kind, flat, spacing, patch, shape, zooms, transpose = CASES[case]
    folder = nnunets.write(
        tmp_path / "model",
        nnunets.architecture(kind, anisotropic=flat),
        spacing,
        patch,
        ("T1w", "FLAIR"),
        2 if case == "isotropic" else 1,
        transpose,
    )
    images = [nnunets.brain(shape, zooms, seed)[0] for seed in (1, 2)]
    mask = nnunets.brain(shape, zooms, 1)[1]
    model = catalog.load(f"nnunet:{folder}")
    expected = nnunets.reference(folder, images, tuple(range(len(model.all_weights))), mirror)
    by_contrast = dict(zip(("T1w", "FLAIR"), images, strict=True))
    inside = np.asanyarray(mask.dataobj) > 0
    assert 0.02 < (expected[inside] > 0.5).mean() < 0.6
    fast = inference.predict(model, by_contrast, mask, images[0], "cpu", mirror).get_fdata()
    assert dice(fast > 0.5, (expected > 0.5) & inside) >= 0.995
    monkeypatch.setattr(devices, "fast_arithmetic", lambda device: nullcontext())
    exact = inference.predict(model, by_contrast, mask, images[0], "cpu", mirror).get_fdata()
    assert dice(exact > 0.5, (expected > 0.5) & inside) >= 0.999
    assert np.abs(exact - expected)[inside].max() < 0.002


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    network = nnunets.architecture()
    return nnunets.write(tmp_path_factory.mktemp("nnunet") / "model", network, (2, 2, 2), (16, 16, 16))


@pytest.fixture(scope="module")
def scan():
    return nnunets.brain((40, 44, 36), (1.8, 1.8, 1.8), 3)


@pytest.mark.parametrize("new", ["duplicated", "zeros"])
def test_an_adapted_network_predicts_as_its_source(folder, scan, new, tmp_path):
    """Duplicated: if both channels are equal. Zeros: with any content of the new channel."""
    t1w, mask = scan
    source = catalog.load(folder)
    path, report = adapt_model(source, ("T1w", "FLAIR"), tmp_path, new)
    other = t1w if new == "duplicated" else nnunets.brain(t1w.shape, (1.8, 1.8, 1.8), 9)[0]
    expected = inference.predict(source, {"T1w": t1w}, mask, t1w, "cpu").get_fdata()
    images = {"T1w": t1w, "FLAIR": other}
    adapted = inference.predict(catalog.load(path), images, mask, t1w, "cpu").get_fdata()
    np.testing.assert_allclose(adapted, expected, atol=2e-2)
    assert expected.max() > 0.5
    assert report.counts()["expanded"] == 1
    assert set(report.counts()) == {"expanded", "copied"}


def test_a_checkpoint_with_code_is_rejected(folder, tmp_path):
    class Code:
        def __reduce__(self):
            return (print, ("run",))

    shutil.copytree(folder, tmp_path / "model")
    torch.save({"network_weights": Code()}, tmp_path / "model/fold_0/checkpoint_final.pth")
    with pytest.raises(ModelError, match="cannot be read as an nnU-Net checkpoint"):
        catalog.load(f"nnunet:{tmp_path / 'model'}")


def test_a_missing_fold_is_an_error(folder):
    with pytest.raises(ModelError, match="has no checkpoint_final"):
        catalog.load(f"nnunet:{folder}?folds=3")


def test_an_exported_card_predicts_as_the_results_folder(folder, scan, tmp_path):
    t1w, mask = scan
    (path,) = export(folder, tmp_path, "mine")
    exported = catalog.load(path)
    assert [weights.file for weights in exported.all_weights] == ["mine.safetensors"]
    predicted, expected = (
        inference.predict(model, {"T1w": t1w}, mask, t1w, "cpu").get_fdata()
        for model in (exported, catalog.load(folder))
    )
    np.testing.assert_array_equal(predicted, expected)
    with pytest.raises(ModelError, match="requires T1w"):
        exported.select(("FLAIR",))
