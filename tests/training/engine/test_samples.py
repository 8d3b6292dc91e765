"""Stream, pool and validation set of samples."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
import toys

from bids_stroke.training.engine.samples import (
    SamplePool,
    SampleStream,
    ValidationSamples,
    draw_reflection,
    tensors,
    voxel_weights,
)
from bids_stroke.training.recipe_settings import LesionWeights, MirrorError
from bids_stroke.training.recipes import read_recipe
from bids_stroke.training.simulation import fields

RECIPE = replace(read_recipe("embedded"), spacing=2.0)
CHANNELS = RECIPE.channels


def stream(seed, recipe=RECIPE):
    return SampleStream(toys.simulator(), recipe, [seed])


def same(batched, sample):
    return all(torch.equal(a, b.float()) for a, b in zip(batched, sample, strict=True))


def test_the_stream_is_reproducible_and_its_samples_differ():
    first, repeated, other = (list(islice(stream(seed), 3)) for seed in (1, 1, 2))
    for sample, copy in zip(first, repeated, strict=True):
        assert all(map(torch.equal, sample, copy))
    assert not torch.equal(first[0][0], first[1][0])
    assert not torch.equal(first[0][0], other[0][0])


def test_the_pool_returns_fresh_and_earlier_samples_possibly_mirrored():
    pool, samples = SamplePool(3, seed=1), stream(1)
    stored = []
    for sample in islice(samples, 5):
        stored = [*stored, sample][-3:]
        batch = pool.batch([part[None] for part in sample], 4)
        assert batch[0].shape == (4, *sample[0].shape) and batch[0].dtype == torch.float32
        for returned in zip(*batch, strict=True):
            assert any(
                same(returned, candidate) or same(returned, [part.flip(1) for part in candidate])
                for candidate in stored
            )
        fresh = [part[0] for part in batch]
        assert same(fresh, sample) or same(fresh, [part.flip(1) for part in sample])


def test_labels_are_within_the_mask():
    for image, label, mask, weight in islice(stream(4), 6):
        assert image.shape[0] == 2 * len(CHANNELS) and label.shape == mask.shape == weight.shape
        assert not (label & ~mask).any()
        assert (weight[~label] == 1).all()


def test_validation_samples_cycle_through_the_inputs():
    recipe = replace(RECIPE, training=replace(RECIPE.training, validation_samples=8))
    samples = ValidationSamples(toys.simulator(), recipe, [1])
    assert [samples[i][3] for i in range(8)] == [0, 1, 2, 3] * 2
    for image, _, _, entry in (samples[i] for i in range(8)):
        contrasts = [c for c, part in zip(CHANNELS, image[:3], strict=True) if part.any()]
        assert contrasts == RECIPE.inputs[entry].contrasts


def test_mirrored_channels_of_an_exact_midsagittal_plane_are_the_flipped_image():
    """The toy head is centered in the tile, so that its mid-sagittal plane is that of the tile."""
    exact = MirrorError(rotation=0, shift=0, wrong=0, missing=0)
    sample = toys.simulator(**toys.STILL).sample(3, ("T1w",), subject=1)
    image = tensors(sample, replace(RECIPE, mirror=exact), np.random.default_rng(0)).image
    inside = fields.erode(sample.mask, 2)
    flipped, mirrored = image[0].flip(0)[inside], image[3][inside]
    assert np.corrcoef(flipped.float(), mirrored.float())[0, 1] > 0.95
    assert not image[[1, 2, 4, 5]].any()


def test_mirrored_channels_are_missing_or_wrong_with_their_probabilities():
    sample = toys.simulator().sample(3, lesions=[])
    rng = np.random.default_rng(0)
    assert draw_reflection(sample.template, MirrorError(1, 1, 0, missing=1), rng) is None
    plane = sample.template[0]  # mid-sagittal plane: x = 0

    def distance(wrong):
        """Mean distance (mm) of reflected mid-sagittal points from the mid-sagittal plane."""
        points = np.linalg.inv(sample.template) @ np.array([0.0, 10, 10, 1])
        drawn = [draw_reflection(sample.template, MirrorError(1, 1, wrong, 0), rng) for _ in range(50)]
        return np.mean([abs(plane @ across @ points) for across in drawn])

    assert 0 < distance(0) < 4 < distance(1)


def test_small_lesions_have_larger_weights():
    """0.8 and 8 ml at 2 mm: (10 / 0.8) ** 0.5 = 3.54, (10 / 8) ** 0.5 = 1.12."""
    label = torch.zeros(30, 30, 30, dtype=torch.bool)
    label[2:7, 2:7, 2:6] = True
    label[15:25, 15:25, 15:25] = True
    visibility = torch.full(label.shape, 0.5)
    weight = voxel_weights(label, visibility, LesionWeights(floor=0.1, power=0.5, limit=4), 2.0)
    assert weight[3, 3, 3] == pytest.approx(0.5 * 3.5355, rel=1e-3)
    assert weight[20, 20, 20] == pytest.approx(0.5 * 1.1180, rel=1e-3)
    assert (weight[~label] == 1).all()
    faint = voxel_weights(label, visibility * 0, LesionWeights(floor=0.1, power=0, limit=4), 2.0)
    assert (faint[label] == 0.1).all()
