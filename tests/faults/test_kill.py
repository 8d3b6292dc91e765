"""Runs that are killed at any moment: nothing is half-written, and the same command ends all well."""

import os
import random
import subprocess
import time

import bidsets
import pytest
from faults.running import command, differences, nothing_half_written, participant, run

from bids_stroke.spatial import image

pytestmark = pytest.mark.skipif(
    "BIDS_STROKE_ROUNDS" not in os.environ,
    reason="takes an hour; set BIDS_STROKE_ROUNDS to the number of rounds, such as 20",
)
ROUNDS = int(os.environ.get("BIDS_STROKE_ROUNDS", 0))


def killed(arguments, seconds):
    """Start the app and kill it, if it has not ended by then; whether it was killed."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command(*arguments), **quiet) as going:
        try:
            going.wait(seconds)
        except subprocess.TimeoutExpired:
            going.kill()
    return going.returncode < 0


def check(levels, rounds, folder, expected):
    """Kill each level once a round, then let it end; returns how many were killed."""
    durations = []
    for arguments in levels(folder / "timed"):
        begun = time.monotonic()
        assert run(*arguments).returncode == 0
        durations.append(time.monotonic() - begun)
    assert differences(folder / "timed", expected) == []
    number = 0
    for seed in range(rounds):
        rng, out = random.Random(seed), folder / str(seed)
        for arguments, seconds in zip(levels(out), durations, strict=True):
            number += killed(arguments, rng.uniform(0, seconds))
            nothing_half_written(out)
            done = run(*arguments)
            assert done.returncode == 0, done.stderr
            nothing_half_written(out)
        assert differences(out, expected) == [], seed
    return number


def test_masks(bids, undisturbed, tmp_path, table):
    def levels(out):
        return participant(bids, out), [bids, out, "group"]

    number = check(levels, ROUNDS, tmp_path, undisturbed)
    assert number
    seen = f"{number} of {2 * ROUNDS} runs killed, {ROUNDS} of {ROUNDS} folders equal"
    table.add("Faults", "kill -9 at random moments of both levels", "", seen, "nothing half-written")


def test_images(tmp_path, table):
    """Of 4 mm, with the embedded model, repeatable to the last digit."""
    bids = bidsets.empty_dataset(tmp_path / "bids")
    img, _ = bidsets.scan(1)
    image.save(img, bids / "sub-01/anat/sub-01_T1w.nii.gz")
    options = ("--brain-extraction", "none", "--deterministic")

    def levels(out):
        return [bids, out, "participant", *options], [bids, out, "group"]

    for arguments in levels(tmp_path / "expected"):
        assert run(*arguments).returncode == 0
    number = check(levels, ROUNDS, tmp_path, tmp_path / "expected")
    seen = f"{number} of {2 * ROUNDS} runs killed, {ROUNDS} of {ROUNDS} folders equal"
    table.add("Faults", "the same, of images with a model", "", seen, "nothing half-written")
