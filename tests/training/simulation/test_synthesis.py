"""Simulated strokes: location, appearance and network input."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import toys
from nibabel.affines import apply_affine

from bids_stroke.training.simulation import (
    appearance,
    artifacts,
    atrophy,
    fields,
    pose,
    strokes,
    subject_preparation,
    synthesis,
)
from bids_stroke.training.simulation.subject_preparation import TISSUES

HEADS = {"label map": 0, "real brain": 1}
SCANNER = toys.RECIPE["synthesis"]["scanner"]


def side(sample):
    """Mean x coordinate (mm) of the lesion."""
    voxels = np.argwhere(sample.label.numpy())
    return apply_affine(sample.affine, voxels)[:, 0].mean()


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_lesion_is_at_its_template_location(head):
    simulator = toys.simulator(**toys.STILL)
    centers = []
    for seed in range(12):
        sample = simulator.sample(seed, subject=head, lesions=[(3.0, "chronic")])
        assert sample.label.any()
        assert not (sample.label & ~sample.brain).any()
        centers.append(side(sample))
    assert {round(abs(x) / 13) for x in centers} == {1}  # 13 mm from the midline, on either side
    assert min(centers) < 0 < max(centers)


def test_lesions_have_the_requested_volume():
    simulator = toys.simulator(**toys.STILL)
    for volume in (0.4, 2.5):
        volumes = [
            simulator.sample(seed, subject=0, lesions=[(volume, "subacute")]).label.sum() * 0.008
            for seed in range(6)
        ]
        assert np.median(volumes) == pytest.approx(volume, rel=0.3)


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
@pytest.mark.parametrize("stage", ["chronic", "subacute"])
def test_stages_have_the_contrast_of_strokes(head, stage):
    simulator = toys.simulator(**toys.STILL)
    change = {contrast: [] for contrast in synthesis.CONTRASTS}
    for seed in range(10):
        with_lesion = simulator.sample(seed, subject=head, lesions=[(3.0, stage)])
        label = with_lesion.label
        mirrored = label.flip(0) & ~label
        for contrast, image in with_lesion.images.items():
            change[contrast].append(float(image[label].median() / image[mirrored].median()))
    assert np.median(change["T1w"]) < 0.9
    assert np.median(change["T2w"]) > 1.1
    if stage == "subacute":
        assert np.median(change["FLAIR"]) > 1.15


def test_chronic_cavity_is_dark_and_its_rim_bright_on_flair():
    simulator = toys.simulator(**toys.STILL)
    ratios = []
    for seed in range(10):
        sample = simulator.sample(seed, ("FLAIR",), subject=0, lesions=[(3.0, "chronic")])
        flair, label = sample.images["FLAIR"], sample.label
        core = fields.erode(label, 2)
        rim = label & ~fields.erode(label, 1)
        ratios.append(float(flair[core].median() / flair[rim].median()))
    assert np.median(ratios) < 0.9


def test_samples_without_lesions():
    sample = toys.simulator().sample(3, lesions=[])
    assert not sample.label.any()
    assert sample.stages == ()


def test_samples_depend_on_the_seed():
    simulator = toys.simulator()
    first, same, other = (simulator.sample([5, n]) for n in (1, 1, 2))
    for contrast in synthesis.CONTRASTS:
        assert torch.equal(first.images[contrast], same.images[contrast])
        assert not torch.equal(first.images[contrast], other.images[contrast])
    assert torch.equal(first.label, same.label) and torch.equal(first.mask, same.mask)


@pytest.mark.parametrize("seed", range(8))
def test_every_sample_is_finite_and_standardized(seed):
    sample = toys.simulator(cut=1.0, lost_cavity=1.0).sample([9, seed])
    image = synthesis.network_input(sample, ("T1w", "FLAIR", "T2w"))
    assert torch.isfinite(image).all()
    assert (image[:, ~sample.mask] == 0).all()
    inside = image[:, sample.mask]
    assert inside.mean(1).abs().max() < 1e-3
    assert (inside.std(1) - 1).abs().max() < 1e-2


def test_missing_contrasts_are_zero():
    sample = toys.simulator().sample(1, ("FLAIR",))
    image = synthesis.network_input(sample, ("T1w", "FLAIR", "T2w"))
    assert not image[[0, 2]].any() and image[1].any()


def test_the_field_of_view_crops_image_and_mask():
    mask = torch.from_numpy(toys.ball(20))
    for seed in range(10):
        cropped, field_of_view = artifacts.crop_field_of_view(mask, 1.0, fields.Draw(seed))
        assert torch.equal(cropped, mask & field_of_view)
        assert 0 < cropped.sum() < mask.sum()


@pytest.mark.parametrize("seed", range(4))
def test_true_masks_end_with_the_field_of_view(seed):
    still = toys.STILL | {"cut": 1.0, "misjudged": 0, "scanner": dict.fromkeys(SCANNER, 0)}
    sample = toys.simulator(**still).sample(seed, ("T1w",), lesions=[(4.0, "chronic")])
    assert sample.brain.any() and (sample.images["T1w"][sample.brain] > 0).all()
    assert not (sample.label & ~sample.brain).any()


def test_small_islands_are_removed():
    weights = torch.zeros(32, 32, 32)
    weights[4:12, 10:20, 10:20] = 1
    weights[20, 15, 15] = 1  # 8 mm³
    weights[24:27, 14:17, 14:17] = 1  # 216 mm³
    white = torch.full((32, 32, 32), TISSUES.index("white"), dtype=torch.uint8)
    draw = fields.Draw(1)
    head = appearance.head(white, white > 0, {}, None, ("T1w",), 2.0, {"arbitrary": 0}, draw)
    label = strokes.paste(head, weights, (0, 0, 0), "subacute", draw).label
    assert not label[20, 15, 15] and label[25, 15, 15] and label[8, 15, 15]


def test_shift_by_a_fraction_of_a_voxel():
    ramp = torch.arange(20.0)[:, None, None].expand(20, 5, 5)
    moved = artifacts.shift(ramp, (0.25, 0, 0))
    torch.testing.assert_close(moved[1:], ramp[1:] - 0.25)


def test_extracted_masks_are_close_to_the_true_mask():
    mask, skull = (torch.from_numpy(toys.ball(radius)) for radius in (20, 22))
    overlap = []
    for seed in range(20):
        extracted = artifacts.simulate_extraction(mask, skull & ~mask, 2.0, fields.Draw(seed))
        overlap.append(float(2 * (extracted & mask).sum() / (extracted.sum() + mask.sum())))
    assert min(overlap) > 0.8 and max(overlap) < 1


def test_some_extracted_masks_include_the_fluid_around_an_atrophic_brain():
    brain, skull = (torch.from_numpy(toys.ball(radius)) for radius in (10, 13))
    fluid, shares = skull & ~brain, []
    for seed in range(20):
        extracted = artifacts.simulate_extraction(brain, fluid, 1.0, fields.Draw(seed))
        shares.append(float((extracted & fluid).sum() / fluid.sum()))
    assert min(shares) < 0.1 and max(shares) > 0.9


@pytest.mark.parametrize("probability", [0, 1])
def test_masks_have_extraction_errors_with_their_probability(probability):
    sample = toys.simulator(**toys.STILL | {"misjudged": probability}).sample(3, lesions=[])
    assert torch.equal(sample.mask, sample.brain) == (probability == 0)


def test_thick_slices_have_the_shape_of_the_image():
    image = torch.rand(21, 23, 25)
    for seed in range(5):
        out = artifacts.thick_slices(image, 1.0, fields.Draw(seed))
        assert out.shape == image.shape
        assert out.std() < image.std()
        assert float(out.mean()) == pytest.approx(float(image.mean()), rel=0.02)


@pytest.mark.parametrize("seed", range(6))
def test_visibility_is_the_largest_change_of_a_lesion_voxel(seed):
    white = torch.full((32, 32, 32), TISSUES.index("white"), dtype=torch.uint8)
    weights = torch.zeros(32, 32, 32)
    weights[8:24, 8:24, 8:24] = 1
    draw = fields.Draw(seed)
    head = appearance.head(white, white > 0, {}, None, ("T1w", "FLAIR"), 1.0, {"arbitrary": 0}, draw)
    before = {contrast: image.clone() for contrast, image in head.images.items()}
    pasted = strokes.paste(head, weights, (0, 0, 0), "subacute", draw)
    changes = [(head.images[contrast] - before[contrast]).abs() for contrast in before]
    expected = (torch.stack(changes).amax(0) / strokes.FULLY_VISIBLE).clamp(max=1)
    torch.testing.assert_close(pasted.visibility, expected)


def test_visibility_is_one_outside_lesions():
    sample = toys.simulator().sample(2, ("T1w",), lesions=[(3.0, "subacute")])
    assert sample.label.any() and (sample.visibility[~sample.label] == 1).all()
    assert sample.visibility[sample.label].min() < 1


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_template_affine_of_a_sample_equals_that_of_the_subject(head):
    """Without a pose, the center of the tile is the origin of the template, and sizes vary by 5%."""
    sample = toys.simulator(**toys.STILL).sample(1, subject=head, lesions=[])
    center = sample.template @ [*(np.array(sample.label.shape) - 1) / 2, 1]
    np.testing.assert_allclose(center[:3], 0, atol=1)
    steps = np.abs(np.diag(sample.template)[:3]) / np.diag(sample.affine)[:3]
    np.testing.assert_allclose(steps, 1, atol=0.06)
    np.testing.assert_allclose(
        sample.template - np.diag(np.diag(sample.template)),
        [
            [0, 0, 0, sample.template[0, 3]],
            [0, 0, 0, sample.template[1, 3]],
            [0, 0, 0, sample.template[2, 3]],
            [0, 0, 0, 0],
        ],
        atol=0.01,
    )


def brain_volume(subject, grid, tile):
    tissue, mask = pose.sample_labels(subject, grid, tile)
    brain = mask & ~torch.isin(tissue, torch.tensor(appearance.FLUIDS))
    return int(brain.sum())


@pytest.mark.parametrize("seed", range(5))
def test_atrophy_shrinks_the_brain_without_folding(seed):
    subject, tile = toys.head(), (48, 48, 48)
    grid = pose.draw_pose(subject, tile, 1.5, toys.RECIPE["synthesis"] | toys.STILL, fields.Draw(seed))
    shrunk = atrophy.shrink(subject, grid, tile, 1.5, fields.Draw(seed))
    assert shrunk.shape == grid.shape
    volumes = [brain_volume(subject, positions, tile) for positions in (grid, shrunk)]
    assert volumes[1] < volumes[0]
    columns = [torch.gradient(shrunk[0, ..., axis]) for axis in range(3)]
    jacobian = torch.stack([torch.stack(column) for column in columns])
    signs = torch.linalg.det(jacobian.permute(2, 3, 4, 0, 1)).sign()
    assert (signs == signs[24, 24, 24]).float().mean() > 0.99


def test_lesions_are_within_an_atrophic_brain():
    """Lesions are placed by the displaced template coordinates."""
    simulator = toys.simulator(
        **toys.STILL | {"distractors": {"atrophy": 1, "hyperintensities": 0, "perivascular": 0}}
    )
    for seed in range(4):
        sample = simulator.sample(seed, subject=0, lesions=[(3.0, "chronic")])
        assert sample.label.any() and not (sample.label & ~sample.brain).any()


def test_a_real_flair_is_not_remapped():
    """One half of the real FLAIR is brighter, unlike a remapped T1w."""
    brain = toys.head(t1w=True)
    flair = (brain.mask * subject_preparation.FLAIR_WHITE).astype(np.uint8)
    flair[: toys.SIDE // 2] *= 2
    subject = replace(brain, flair=flair)
    recipe = toys.RECIPE["synthesis"] | toys.STILL | {"label_maps": 0, "pairs": 1.0}
    simulator = synthesis.Simulator([brain, subject], [toys.lesion()], (32, 32, 32), 2.0, recipe)
    assert simulator.shares == [0, 1]
    image = simulator.sample(1, ("FLAIR",), lesions=[]).images["FLAIR"]
    halves = image[10:14, 12:20, 12:20].mean(), image[18:22, 12:20, 12:20].mean()
    assert max(halves) / min(halves) == pytest.approx(2, rel=0.3)
