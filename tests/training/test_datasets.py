"""The stream of samples, and the fixed ones."""

from itertools import islice

import torch
import toys

from bids_stroke.training import datasets

CHANNELS = toys.RECIPE["channels"]


def stream(seed, reuse=1):
    return datasets.Stream(toys.simulator(), CHANNELS, toys.RECIPE["inputs"], reuse, [seed])


def test_stream_is_new_every_time_and_reproducible():
    first, again, other = (list(islice(stream(seed), 3)) for seed in (1, 1, 2))
    for one, two in zip(first, again, strict=True):
        assert all(map(torch.equal, one, two))
    assert not torch.equal(first[0][0], first[1][0])
    assert not torch.equal(first[0][0], other[0][0])


def test_reused_samples_are_shown_as_they_are_or_mirrored():
    shown = [image for image, _, _ in islice(stream(1, reuse=3), 12)]  # of four samples
    distinct = []
    for image in shown:
        if not any(torch.equal(image, one) or torch.equal(image, one.flip(1)) for one in distinct):
            distinct.append(image)
    assert 1 < len(distinct) <= 4


def test_labels_stay_within_the_mask():
    for image, label, mask in islice(stream(4), 6):
        assert image.shape[0] == len(CHANNELS) and label.shape == mask.shape
        assert not (label * (1 - mask)).any()


def test_fixed_samples_take_the_inputs_in_turn():
    fixed = datasets.Fixed(toys.simulator(), CHANNELS, toys.RECIPE["inputs"], 8, [1])
    assert [fixed[i][3] for i in range(8)] == [0, 1, 2, 3] * 2
    for image, _, _, entry in (fixed[i] for i in range(8)):
        shown = [c for c, part in zip(CHANNELS, image, strict=True) if part.any()]
        assert shown == toys.RECIPE["inputs"][entry]["contrasts"]
