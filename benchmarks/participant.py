"""Measure the cost of one participant from raw images to derivatives, compared with chains of tools.

    python benchmarks/participant.py [--work DIR] [--threads 2] [--voxel MM] [--trial] [--heads NAME]
        [--comparisons NAME] [--agreement]

The participants are two published heads from ``$BIDS_STROKE_SHARED/data``: a T1w of 1 mm, and T1w and
FLAIR with slices of 3 mm. The app runs its participant level. A chain (``chains.py``) runs a process
for each step:

- ``default``: the default settings of each tool. HD-BET ``accurate`` with mirroring, N4, SyN to the
  template at 1 mm, rigid registration of the FLAIR, and nnU-Net's predictor with mirroring. App and
  chain use the same network of nnU-Net's default size at 1 mm, trained on noise to mark bright regions.
- ``fast``: the settings that an expert would choose. HD-BET ``fast`` without mirroring, N4 in the brain
  with a shrink factor of 4, SyNQuick to the template at 2 mm, and the embedded network with MONAI's
  sliding window, in single precision.
- ``fast, deepbet``: the same with deepbet, in both.

Wall time, CPU time and peak memory of each step (including child processes), disk space of the app, and
agreement of the results are written to docs/performance.md; ``--agreement`` only compares results of
an earlier run in the same folder. Shared steps of the app are those that the chain also runs. Steps
under a second are omitted. Denormal numbers are flushed for HD-BET's wrapper, which would otherwise run
for hours on its published weights (see ``denormals.py``). For a trial run, ``--voxel`` uses coarser
images and networks, and ``--trial`` uses deepbet instead of HD-BET. Without nnunetv2 (pip install
.[nnunet]), the default chain does not segment, and the app uses its embedded model.
"""

import argparse
import shutil
import sys
import tempfile
import threading
from pathlib import Path
from typing import NamedTuple

import chains
import nibabel as nib
import numpy as np
import pandas as pd
from measurements import DATA, PERFORMANCE, markdown, start_dataset, write_measured
from processes import MEASURES, megabytes, sample_disk, watch

from bids_stroke.evaluation import metrics
from bids_stroke.models import catalog, inference
from bids_stroke.settings import DEFAULT_MODEL
from bids_stroke.spatial import image, normalization
from bids_stroke.spatial.grid import regrid, resample, voxel_volume
from bids_stroke.spatial.transforms import move_points, to_ants

HEADS = {
    "T1w of 1 mm": {"T1w": "healthy/colin27_T1w"},
    "T1w and FLAIR": {"T1w": "ms/patient03_study2_T1W", "FLAIR": "ms/patient03_study2_FLAIR"},
}
#: Chain and, unless HD-BET, method of brain extraction.
COMPARISONS = ("default", "fast", "fast, deepbet")
#: First words of the steps of the app that the chains also run.
SHARED = ("brain extraction", "bias correction", "rigid", "lesion segmentation", "normalization")
FEATURES = (32, 64, 128, 256, 320, 320)


class Comparison(NamedTuple):
    """Runs of the app and of a chain in a folder, with the same model and brain extraction."""

    folder: Path
    chain: str
    model: str | Path
    extraction: str

    def measure(self, images, threads, voxel):
        """Run both, and return their costs by step and the disk space (MB) of the app."""
        shutil.rmtree(self.folder, ignore_errors=True)
        app, disk = run_app(images, self.model, self.folder / "app", threads, self.extraction)
        if self.chain == "default":
            steps = chains.default(images, self.extraction, voxel, self.model)
        else:
            steps = chains.fast(images, self.extraction, voxel)
        tools = run_chain(steps, self.folder / "chain", threads)
        return {"app": app, "chain of tools": tools}, disk


def comparison_of(name, head, work, model, trial):
    """Return the comparison of a name in :data:`COMPARISONS` for a head."""
    chain, _, extraction = name.partition(", ")
    return Comparison(
        work / head.replace(" ", "-") / name.replace(", ", "-"),
        chain,
        model if chain == "default" else DEFAULT_MODEL,
        extraction or ("deepbet" if trial else "hd-bet"),
    )


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


def run_chain(steps, work, threads):
    """Run the steps of a chain one after the other, and return the cost of each."""
    work.mkdir(parents=True)
    rows = []
    for name, *arguments in steps:
        command = [sys.executable, chains.__file__, name, work, *arguments]
        rows.append(watch(command, threads, name))
    return pd.concat(rows).groupby(level=0, sort=False).agg(MEASURES)


def agreement(comparison):
    """Measure the agreement of the results of the app and of a chain.

    The networks mark no real lesions and may mark much of the brain. The app's normalization is
    therefore compared without the lesion mask, which the chain does not use either.
    """
    import ants

    stem, work = comparison.folder / "app/out/sub-01/anat/sub-01", comparison.folder / "chain"
    names = ("space-T1w_desc-brain_mask", "desc-preproc_T1w")
    brain, t1w = (image.conform(image.load(f"{stem}_{name}.nii.gz")) for name in names)
    chain_brain = image.load(work / "brain.nii.gz")
    scores = {"brain masks (Dice)": metrics.dice(brain.dataobj, chain_brain.dataobj)}
    if (work / "lesion.nii.gz").exists():
        scores |= lesions(comparison, work, chain_brain)
    # Tissues of one image by k-means, resampled to the template by both transforms.
    no_lesion = image.like(np.zeros(brain.shape), brain, np.uint8)
    tissues = ants.kmeans_segmentation(to_ants(t1w), 3, to_ants(brain))["segmentation"]
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
    if (work / chains.RIGID).is_file():
        voxels = np.argwhere(np.asanyarray(brain.dataobj))[::1000]
        points = nib.affines.apply_affine(brain.affine, voxels)
        both = (work / chains.RIGID, f"{stem}_from-FLAIR_to-T1w_mode-image_xfm.mat")
        moved = [move_points(points, [transform]) for transform in both]
        distances = np.linalg.norm(moved[0] - moved[1], axis=1)
        scores["FLAIR on T1w, mean distance (mm)"] = distances.mean()
    return scores


def lesions(comparison, work, brain):
    """Return the agreement of the lesion masks of one network for the images and brain of the chain."""
    card = catalog.load(comparison.model)
    default = comparison.chain == "default"
    moving = image.load(work / "moving.nii.gz")
    images = {"T1w": moving} if default else chains.network_images(work)
    predicted = inference.predict(card, images, brain, brain, "cpu", default).get_fdata() >= 0.5
    inside = np.asanyarray(brain.dataobj) > 0
    masks = predicted & inside, inside & (image.load(work / "lesion.nii.gz").get_fdata() > 0)
    volumes = [np.count_nonzero(mask) * voxel_volume(brain) / 1000 for mask in masks]
    return {
        "lesion masks, same network and brain (Dice)": metrics.dice(*masks),
        "lesion volume, app (ml)": volumes[0],
        "lesion volume, chain (ml)": volumes[1],
    }


def _tissues(grid):
    """Return masks of gray and white matter on a grid of the template by their class number."""
    from nilearn.datasets import load_mni152_gm_template, load_mni152_wm_template

    maps = (load_mni152_gm_template(resolution=1), load_mni152_wm_template(resolution=1))
    return {number: resample(img, grid).get_fdata() >= 0.5 for number, img in enumerate(maps, 2)}


def network(folder, voxel):
    """Train nnU-Net's network on small tiles and return its folder, or the default model without it."""
    if not chains.has_nnunet():
        return DEFAULT_MODEL
    import nnunets

    if not folder.exists():
        architecture = nnunets.architecture(features=FEATURES)
        nnunets.write(
            folder, architecture, (voxel,) * 3, (128,) * 3, steps=40, training_patch=(64,) * 3
        )
    return folder


def load_head(name, work, voxel):
    """Return the paths of the images of a participant, as coarser copies with ``voxel``."""
    images = {}
    for contrast, file in HEADS[name].items():
        path = DATA / "heads" / f"{file}.nii.gz"
        if voxel:
            coarse = work / "coarse" / path.name
            coarse.parent.mkdir(parents=True, exist_ok=True)
            path = image.save(regrid(image.conform(image.load(path)), (voxel,) * 3), coarse)
        images[contrast] = path
    return images


def describe(title, sides, disk):
    """Return the tables of a comparison as Markdown."""
    is_shared = sides["app"].index.str.startswith(SHARED)
    totals = sides | {"app, shared steps": sides["app"][is_shared]}
    total = pd.DataFrame({side: table.agg(MEASURES) for side, table in totals.items()}).T
    for side in ("app", "app, shared steps"):
        total.loc[f"ratio, {side}"] = total.loc[side] / total.loc["chain of tools"]
    parts = [f"### {title}: total", markdown(total)]
    for side, table in sides.items():
        parts += [f"### {title}: {side}", markdown(table[table["seconds"] >= 1])]
    lines = [f"- {key} (MB): {value:.3g}" for key, value in disk.items()]
    return "\n\n".join([*parts, f"### {title}: disk space", "\n".join(lines)])


def main():
    """Command line."""
    command = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    command.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "participant")
    command.add_argument("--threads", type=int, default=2)
    command.add_argument("--voxel", type=float, help="voxel size of coarser images (mm)")
    command.add_argument("--heads", nargs="+", choices=tuple(HEADS), default=tuple(HEADS))
    command.add_argument("--comparisons", nargs="+", choices=COMPARISONS, default=COMPARISONS)
    command.add_argument("--trial", action="store_true", help="use deepbet instead of HD-BET")
    command.add_argument(
        "--agreement", action="store_true", help="only compare results of an earlier run"
    )
    command.add_argument("--page", type=Path, default=PERFORMANCE)
    arguments = command.parse_args()
    work, voxel = arguments.work, arguments.voxel or 1.0
    model = network(work / f"model-{voxel:g}mm", voxel)
    for name in arguments.comparisons:
        section, parts, scores = name.replace(", ", "-"), [], {}
        for head in arguments.heads:
            comparison = comparison_of(name, head, work, model, arguments.trial)
            if not arguments.agreement:
                images = load_head(head, work, arguments.voxel)
                parts.append(describe(head, *comparison.measure(images, arguments.threads, voxel)))
                print(parts[-1], flush=True)
            scores[head] = agreement(comparison)
        if parts:
            write_measured(f"participant {section}", "\n\n".join(parts), arguments.page)
        table = markdown(pd.DataFrame(scores), digits=4)
        write_measured(f"agreement {section}", table, arguments.page)


if __name__ == "__main__":
    main()
