"""Runs that are killed at random times: no partial files, and the same command completes the run."""

import random
import subprocess
import time

import bidsets
import pytest
from faults.running import check_complete_files, command, differences, participant, run

from bids_stroke.spatial import image

pytestmark = pytest.mark.exhaustive


def killed(arguments, seconds):
    """Start the app, kill it after some seconds, and return whether it was still running."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command(*arguments), **quiet) as app:
        try:
            app.wait(seconds)
        except subprocess.TimeoutExpired:
            app.kill()
    return app.returncode < 0


def check(levels, rounds, folder, expected):
    """Kill each level once per round, then complete it; return the number of killed runs."""
    durations = []
    for arguments in levels(folder / "timed"):
        start = time.monotonic()
        assert run(*arguments).returncode == 0
        durations.append(time.monotonic() - start)
    assert differences(folder / "timed", expected) == []
    number = 0
    for seed in range(rounds):
        rng, out = random.Random(seed), folder / str(seed)
        for arguments, seconds in zip(levels(out), durations, strict=True):
            number += killed(arguments, rng.uniform(0, seconds))
            check_complete_files(out)
            done = run(*arguments)
            assert done.returncode == 0, done.stderr
            check_complete_files(out)
        assert differences(out, expected) == [], seed
    return number


def test_masks(bids, undisturbed, tmp_path, table, rounds):
    def levels(out):
        return participant(bids, out), [bids, out, "group"]

    number = check(levels, rounds, tmp_path, undisturbed)
    assert number
    seen = f"{number} of {2 * rounds} runs killed, {rounds} of {rounds} folders equal"
    table.add("Faults", "kill -9 at random moments of both levels", "", seen, "no partial files")


def test_images(tmp_path, table, rounds):
    """Images of 4 mm with the embedded model in deterministic mode."""
    bids = bidsets.empty_dataset(tmp_path / "bids")
    img, _ = bidsets.scan(1)
    image.save(img, bids / "sub-01/anat/sub-01_T1w.nii.gz")
    options = ("--brain-extraction", "none", "--deterministic")

    def levels(out):
        return [bids, out, "participant", *options], [bids, out, "group"]

    for arguments in levels(tmp_path / "expected"):
        assert run(*arguments).returncode == 0
    number = check(levels, rounds, tmp_path, tmp_path / "expected")
    seen = f"{number} of {2 * rounds} runs killed, {rounds} of {rounds} folders equal"
    table.add("Faults", "the same, of images with a model", "", seen, "no partial files")
