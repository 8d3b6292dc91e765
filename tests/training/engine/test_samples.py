"""The stream of samples, and the fixed ones."""

from itertools import islice

import torch
import toys

from bids_stroke.training.engine.samples import Fixed, Pool, Stream
from bids_stroke.training.recipes import read_recipe

CHANNELS = toys.RECIPE["channels"]
INPUTS = read_recipe("embedded").inputs


def stream(seed):
    return Stream(toys.simulator(), CHANNELS, INPUTS, [seed])


def same(one, other):
    return all(torch.equal(a, b.float()) for a, b in zip(one, other, strict=True))


def test_stream_is_new_every_time_and_reproducible():
    first, again, other = (list(islice(stream(seed), 3)) for seed in (1, 1, 2))
    for one, two in zip(first, again, strict=True):
        assert all(map(torch.equal, one, two))
    assert not torch.equal(first[0][0], first[1][0])
    assert not torch.equal(first[0][0], other[0][0])


def test_pool_shows_what_is_fresh_and_earlier_samples_again_or_mirrored():
    pool, samples = Pool(3, seed=1), stream(1)
    known = []
    for one in islice(samples, 5):
        known = [*known, one][-3:]
        images, labels, masks = pool.batch([part[None] for part in one], 4)
        assert images.shape == (4, *one[0].shape) and images.dtype == torch.float32
        for shown in zip(images, labels, masks, strict=True):
            assert any(same(shown, kept) or same(shown, [t.flip(1) for t in kept]) for kept in known)
        fresh = images[0], labels[0], masks[0]
        assert same(fresh, one) or same(fresh, [t.flip(1) for t in one])


def test_labels_stay_within_the_mask():
    for image, label, mask in islice(stream(4), 6):
        assert image.shape[0] == len(CHANNELS) and label.shape == mask.shape
        assert not (label & ~mask).any()


def test_fixed_samples_take_the_inputs_in_turn():
    fixed = Fixed(toys.simulator(), CHANNELS, INPUTS, 8, [1])
    assert [fixed[i][3] for i in range(8)] == [0, 1, 2, 3] * 2
    for image, _, _, entry in (fixed[i] for i in range(8)):
        shown = [c for c, part in zip(CHANNELS, image, strict=True) if part.any()]
        assert shown == INPUTS[entry].contrasts
