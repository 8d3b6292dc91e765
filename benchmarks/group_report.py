"""Measure time and memory of the group level for many participants, and of its page in a browser.

    python benchmarks/group_report.py FOLDER [--participants 1000 10000]

The script writes derivatives of simulated participants to FOLDER (records, tables, figures, and masks
of a few hundred random lesions in template space). It runs the group level, its table and its overlap
map separately, and opens the page in Chromium. For comparison, it sums the masks by ``get_fdata``, and
reads and decompresses the files, which is the lower limit of the time. It writes the table to
docs/performance.md.
"""

import argparse
import gzip
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import psutil
from measurements import PERFORMANCE, markdown, start_dataset, write_measured
from scipy import ndimage

from bids_stroke.atlases import load_columns, super_regions
from bids_stroke.bids import logs, record
from bids_stroke.bids.derivatives import write_dataset_files, write_tsv
from bids_stroke.bids.names import derivative
from bids_stroke.bids.source_datasets import SourceDatasets
from bids_stroke.cohort import overlap as cohort_overlap
from bids_stroke.cohort import table as cohort_table
from bids_stroke.qc import image_quality
from bids_stroke.reports.figures.lesion import draw_lesion
from bids_stroke.spatial import image
from bids_stroke.spatial.templates import TEMPLATE, template

DRAWN = 5  # number of different figures, which are copied for other participants
FLAGGED = 0.03  # share of participants that fail a QC check
LESIONS = 300  # number of different lesions, which are copied for other participants
NUMBERS = load_columns.NUMBERS


def lesion(rng, grid, brain):
    """Draw a random lesion inside the brain, on either side."""
    inside = np.argwhere(brain)
    center, radii = inside[rng.integers(len(inside))], rng.uniform(4, 28, 3)
    low = np.maximum(center - np.ceil(radii), 0).astype(int)
    box = tuple(slice(a, b) for a, b in zip(low, (center + radii + 1).astype(int), strict=True))
    mask = np.zeros(grid.shape, np.uint8)
    points = np.moveaxis(np.indices(mask[box].shape), 0, -1) + low
    noise = ndimage.gaussian_filter(rng.normal(size=mask[box].shape), 3) * 4
    mask[box] = ((((points - center) / radii) ** 2).sum(-1) < 1 + noise) & brain[box]
    return image.like(mask, grid, np.uint8)


def draw(out, number, rng, target, brain):
    """Write the mask of a random lesion and, for the first lesions, a figure.

    Returns the path, the volume (ml), and whether the lesion is on the left.
    """
    mask = lesion(rng, target.t1w, brain)
    if number < DRAWN:
        draw_lesion(target.t1w, mask, out / f"figure-{number}.svg")
    left = nib.affines.apply_affine(mask.affine, np.argwhere(mask.dataobj)).mean(0)[0] < 0
    path = image.save(mask, out / f"mask-{number}.nii.gz")
    return path, np.count_nonzero(mask.dataobj) / 1000, left


def add(out, name, rng, drawn, pictures):
    """Write the derivatives of one simulated participant."""
    folder, entities = out / name / "anat", {"label": "L", "desc": "T1lesion"}
    mask, volume, left = drawn
    components = pd.DataFrame(
        {
            "component": ["all", "1"],
            "volume_ml": volume,
            "mean_probability": rng.uniform(0.4, 0.9),
            "max_probability": 0.95,
            "volume_template_ml": volume,
            "outside_brain_share": 0.01,
            "hemisphere": "left" if left else "right",
        }
    )
    quality = dict.fromkeys(image_quality.COLUMNS, 1.0) | {
        "contrast": "T1w",
        "brain_volume_ml": rng.normal(1400, 110),
        "snr": rng.lognormal(3, 0.2),
        "cnr": rng.lognormal(1, 0.2),
        "template_brain_dice": 0.98 - abs(rng.normal(0, 0.004)),
    }
    load = volume * rng.uniform(0, 0.2)
    by_side = [load * left, load * (not left), load, 0, load]
    loads = pd.DataFrame(
        {"side": load_columns.ROWS}
        | dict.fromkeys(NUMBERS, by_side)
        | {
            "lesion_side": "left" if left else "right",
            "category": "small",
            "category_status": "unvalidated",
        }
    )
    share, card = rng.dirichlet([1, 1, 1, 1]), super_regions.super_regions_card()
    shares = pd.DataFrame(
        {
            "region": [card.full_name(code) for code in card.names],
            "region_volume_ml": 500.0,
            "lesion_volume_ml": volume * share,
            "lesion_share": share,
            "region_share": 0.01,
        }
    )
    tables = {"JuelichCST": loads, card.atlas: shares}
    written = {
        derivative(name, "morph", ".tsv", space="T1w", **entities): components,
        derivative(name, "morph", ".tsv", desc="quality"): pd.DataFrame([quality]),
    } | {
        derivative(name, "morph", ".tsv", space=TEMPLATE, atlas=label, **entities): table
        for label, table in tables.items()
    }
    roles = ["components", "image_quality", *map(record.role, ("loads", "regions"), tables)]
    outputs = {
        role: write_tsv(table, folder / file)
        for role, (file, table) in zip(roles, written.items(), strict=True)
    }
    template_mask = derivative(name, "mask", space=TEMPLATE, res="1", **entities)
    outputs[record.role("lesion_mask", TEMPLATE)] = shutil.copyfile(mask, folder / template_mask)
    figures = out / name / "figures"
    figures.mkdir()
    for kind in ("lesion", "brain", "mni"):
        source = pictures[rng.integers(len(pictures))]
        figure = figures / derivative(name, "T1w", ".svg", desc=kind)
        outputs[f"{kind}_figure"] = shutil.copyfile(source, figure)
    (out / f"{name}.html").write_text(f"<!DOCTYPE html><title>{name}</title>")
    paths = {role: str(path.relative_to(out)) for role, path in outputs.items()}
    content = {"model": "simulated", "reference": "T1w", "contrasts": ["T1w"], "outputs": paths}
    flags = {"agreement": "The FLAIR differs from the T1w."} if rng.random() < FLAGGED else {}
    record.Record(name, "made", "ok", flags=flags, **content).write(out)


def make(bids, out, participants, distinct=None):
    """Write a dataset without images and its derivatives.

    The derivatives of participants after the first ``distinct`` (default: all) are hard links to those
    of the first, with records of their own.
    """
    start_dataset(bids, "simulated")
    rng, names = np.random.default_rng(0), [f"sub-{i:05}" for i in range(1, participants + 1)]
    write_tsv(
        pd.DataFrame(
            {
                "participant_id": names,
                "age": rng.normal(62, 11, participants).round(),
                "sex": rng.choice(["F", "M"], participants),
                "site": rng.choice(["A", "B", "C"], participants),
                "nihss": rng.integers(0, 30, participants),
            }
        ),
        bids / "participants.tsv",
    )
    write_dataset_files(SourceDatasets(bids, out))
    target = template()
    brain = np.asanyarray(target.brain.dataobj) > 0
    number = min(distinct or participants, LESIONS)
    lesions = [draw(out, index, rng, target, brain) for index in range(number)]
    pictures = sorted(out.glob("figure-*.svg"))
    for index, name in enumerate(names[:distinct]):
        add(out, name, rng, lesions[index % len(lesions)], pictures)
    for index, name in enumerate(names[distinct:] if distinct else ()):
        clone(out, names[index % distinct], name)


def clone(out, source, name):
    """Link the derivatives of a participant to another, and write the record."""
    (out / name).mkdir()
    os.link(out / f"{source}.html", out / f"{name}.html")
    for folder in (out / source).iterdir():
        target = out / name / folder.name
        target.mkdir()
        for file in folder.iterdir():
            os.link(file, target / file.name.replace(source, name))
    text = logs.record_path(out, source).read_text()
    logs.record_path(out, name).write_text(text.replace(source, name))


def masks(out):
    """Return the paths of the masks in template space."""
    return out.glob(f"sub-*/anat/*_space-{TEMPLATE}_res-1_label-L_*_mask.nii.gz")


def sum_masks(out):
    """Sum the masks with get_fdata."""
    return sum(nib.load(path).get_fdata() for path in masks(out))


def decompress(out):
    """Read and decompress the masks."""
    for path in masks(out):
        gzip.decompress(path.read_bytes())


def in_subprocess(task, *arguments):
    """Measure seconds, peak memory (MB) and user CPU seconds of a function in a subprocess."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(sender, task, arguments))
    process.start()
    sender.close()  # an error of the subprocess then ends the wait for its result
    result = receiver.recv()
    process.join()
    return result


def _measure(channel, task, arguments):
    started = time.perf_counter()
    task(*arguments)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    channel.send((time.perf_counter() - started, usage.ru_maxrss / 1024, usage.ru_utime))


def table(out):
    """Compute the table of the group level."""
    cohort_table.collect(out, record.read_all(out))


def overlap(out):
    """Compute the overlap map of the group level."""
    cohort_overlap.overlap(out, record.read_all(out))


def browse(page_file):
    """Measure the seconds for opening, sorting and filtering the page until it is rendered.

    Returns
    -------
    tuple of (dict, float)
        Seconds by action, and CPU seconds of the browser until the page is open.
    """
    from playwright.sync_api import sync_playwright

    drawn = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
    with sync_playwright() as driver:
        path = shutil.which("chromium")
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(0)
        started = time.perf_counter()
        page.goto(page_file.absolute().as_uri())
        page.evaluate(drawn)
        seconds = {"open": time.perf_counter() - started}
        times = [child.cpu_times() for child in psutil.Process().children(recursive=True)]
        for name, action in {
            "sort": "document.querySelectorAll('#cohort th button')[3].click()",
            "filter": "find('#filter').value = 'lesion_volume_ml>20'; update()",
            "next rows": "find('#after').click()",
        }.items():
            seconds[name] = page.evaluate(
                f"async () => {{const t = performance.now(); {action}; await {drawn}; "
                "return (performance.now() - t) / 1000}"
            )
        browser.close()
    return seconds, sum(item.user + item.system for item in times)


def measure(folder, participants):
    """Return a row of the table: cost of the group level for a number of participants."""
    bids, out = folder / "bids", folder / "derivatives"
    if not bids.is_dir():
        make(bids, out, participants)
    started = time.perf_counter()
    with subprocess.Popen([sys.executable, "-m", "bids_stroke", bids, out, "group"]) as run:
        _, status, usage = os.wait4(run.pid, 0)
        run.returncode = os.waitstatus_to_exitcode(status)
    if run.returncode:
        sys.exit(f"The group level ended with exit status {run.returncode}.")
    seconds, page = time.perf_counter() - started, out / "group.html"
    table_s = in_subprocess(table, out)[0]
    overlap_s, overlap_mb, _ = in_subprocess(overlap, out)
    floor, reference = in_subprocess(decompress, out)[0], in_subprocess(sum_masks, out)[0]
    page_seconds, _ = browse(page)
    return {
        "participants": participants,
        "group level (s)": seconds,
        "memory (MB)": usage.ru_maxrss / 1024,
        "table (s)": table_s,
        "overlap map (s)": overlap_s,
        "its memory (MB)": overlap_mb,
        "masks inflated, one core (s)": floor,
        "masks summed by get_fdata (s)": reference,
        "ratio": overlap_s / reference,
        "page (MB)": page.stat().st_size / 1e6,
        **{f"page: {action} (s)": value for action, value in page_seconds.items()},
    }


def main():
    """Command line."""
    command = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    command.add_argument("folder", type=Path)
    command.add_argument("--participants", nargs="+", type=int, default=[1000, 10000])
    command.add_argument("--page", type=Path, default=PERFORMANCE)
    options = command.parse_args()
    rows = []
    for participants in options.participants:
        rows.append(measure(options.folder / str(participants), participants))
        print(rows[-1], flush=True)
    write_measured("group", markdown(pd.DataFrame(rows).T), options.page)


if __name__ == "__main__":
    main()
