"""Score the comparison of sessions on simulated pairs of sessions with true masks.

    python studies/longitudinal.py [--heads 10] [--first 0]
    python studies/longitudinal.py --follow-ups

Lesions are painted into two sessions of IXI heads: an unchanged, a growing, a shrinking, a new and a
gone lesion, two lesions that merge, and a lesion that splits. In the second session, the head is moved
and scanned on another grid, and every other head has another contrast. The script prints the share of
components over 1 ml with the right class and the error of the volume change (percent of the larger
volume), by lesion and by contrast; the distance of brain points from their true positions; and the
agreement of the registrations, also for sessions of different heads. A head takes about a minute on one
core. ``--follow-ups`` measures this agreement for real scans of two patients at two times instead.
Scans are read from ``$BIDS_STROKE_SHARED/data``.
"""

import argparse
import os
from typing import NamedTuple

os.environ.setdefault("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "1")

import nibabel as nib
import numpy as np
import pandas as pd
from common import DATA
from nibabel.affines import apply_affine, from_matvec
from nibabel.eulerangles import euler2mat
from scipy import ndimage

from bids_stroke.evaluation.metrics import dice
from bids_stroke.lesion.changes import match_components
from bids_stroke.lesion.components import components
from bids_stroke.spatial import brain_extraction, grid, image, masks, midpoint

MIN_ML = 1.0
RADIUS_MM = 7.5, 11.0
DISTANCE_MM = 44.0  # between the centers of lesions
ROTATION_DEG, SHIFT_MM = 10.0, 15.0
SECOND_ZOOMS = 1.6, 1.6, 2.4
NOISE = 0.03
POINTS = 2000
#: Patients with real scans at two times.
FOLLOWED = "patient01", "patient12"
AGREEMENT = "error (mm), mean", "error (mm), largest", "disagreement (mm)", "Dice of the brains"
#: Right class of the kinds of simulated lesions.
CLASSES = {
    "unchanged": "stable",
    "growing": "stable",
    "shrinking": "stable",
    "new": "new",
    "gone": "gone",
    "merging": "merged",
    "splitting": "split",
}


class Session(NamedTuple):
    """Scan of a session, and the numbers of its true lesions on the same grid."""

    scan: midpoint.Scan
    lesions: nib.Nifti1Image


def read_head(path):
    """Return a head and its brain mask, which is that of a segmentation with closed gaps."""
    head = image.conform(image.load(path))
    labels = image.conform(image.load(path.with_name(path.name.replace("_ds", "_ds_DLMUSE"))))
    brain = ndimage.binary_fill_holes(ndimage.binary_closing(labels.get_fdata() > 0, iterations=3))
    return head, image.like(brain, head, np.uint8)


def draw_sites(brain, number, rng):
    """Draw centers (voxels) of lesions deep in the brain, with large distances."""
    zooms = np.linalg.norm(brain.affine[:3, :3], axis=0)
    depth = ndimage.distance_transform_edt(brain.get_fdata() > 0, sampling=zooms)
    candidates = rng.permutation(np.argwhere(depth > RADIUS_MM[1]))
    sites = []
    for site in candidates:
        if all(np.linalg.norm((site - other) * zooms) > DISTANCE_MM for other in sites):
            sites.append(site)
    if len(sites) < number:
        raise RuntimeError(f"only {len(sites)} lesions fit into the brain; draw again")
    return sites[:number]


def parts(kind, radius, direction):
    """Return the balls of a lesion, pairs of center (mm) and radius, in both sessions."""
    whole, larger = [(np.zeros(3), radius)], [(np.zeros(3), 1.25 * radius)]
    two = [(sign * (0.75 * radius + 3) * direction, 0.75 * radius) for sign in (-1, 1)]
    joined = [(sign * 0.6 * radius * direction, 0.9 * radius) for sign in (-1, 1)]
    return {
        "unchanged": (whole, whole),
        "growing": (whole, larger),
        "shrinking": (larger, whole),
        "new": ([], whole),
        "gone": (whole, []),
        "merging": (two, joined),
        "splitting": (joined, two),
    }[kind]


def draw_lesions(brain, rng):
    """Draw lesions with rough surfaces; return their numbers in each voxel, for both sessions."""
    world = np.moveaxis(np.indices(brain.shape), 0, -1) * np.linalg.norm(brain.affine[:3, :3], axis=0)
    rough = ndimage.gaussian_filter(rng.standard_normal(brain.shape), 3)
    rough *= 0.08 / rough.std()
    sessions = np.zeros((2, *brain.shape), np.uint8)
    for number, (kind, site) in enumerate(
        zip(CLASSES, draw_sites(brain, len(CLASSES), rng), strict=True), 1
    ):
        direction = np.eye(3)[rng.integers(3)]
        balls = parts(kind, rng.uniform(*RADIUS_MM), direction)
        center = world[tuple(site)]
        for session, several in zip(sessions, balls, strict=True):
            for shift, radius in several:
                distance = np.linalg.norm(world - center - shift, axis=-1)
                session[(distance < radius * (1 + rough)) & (brain.get_fdata() > 0)] = number
    return sessions


def paint(head, brain, lesions, inverted, rng):
    """Paint lesions into a head; ``inverted`` gives another contrast."""
    data = head.get_fdata() / np.percentile(head.get_fdata()[brain.get_fdata() > 0], 90)
    if inverted:
        data = np.interp(data, [0, 0.3, 0.6, 0.9, 1.5], [0, 1.0, 0.75, 0.5, 0.6])
    edge = ndimage.gaussian_filter((lesions > 0).astype(float), 0.5)
    data = (1 - edge) * data + edge * (1.1 if inverted else 0.25)
    return image.like(data + NOISE * rng.standard_normal(data.shape), head, np.float32)


def draw_motion(rng):
    """Draw a rigid motion of points (mm)."""
    angles = np.deg2rad(rng.uniform(-ROTATION_DEG, ROTATION_DEG, 3))
    return from_matvec(euler2mat(*angles), rng.uniform(-SHIFT_MM, SHIFT_MM, 3))


def move(img, motion, kind):
    """Move a head and scan it on another grid."""
    moved = nib.Nifti1Image(np.asanyarray(img.dataobj), motion @ img.affine)
    target = grid.regrid(grid.blank(img.shape, img.affine), SECOND_ZOOMS, order=0)
    if kind == "mask":
        return masks.resample_mask(moved, target)
    return grid.resample(moved, target, order=0 if kind == "labels" else 1)


def simulate(path, inverted, rng):
    """Return both sessions of a head, the motion, and the true volume (ml) of each lesion in both."""
    head, brain = read_head(path)
    lesions = draw_lesions(brain, rng)
    motion = draw_motion(rng)
    scans = [paint(head, brain, lesions[0], False, rng), paint(head, brain, lesions[1], inverted, rng)]
    labels = [image.like(part, head, np.uint8) for part in lesions]
    lesion_masks = [image.like(part > 0, head, np.uint8) for part in lesions]
    first = Session(midpoint.Scan(scans[0], brain, lesion_masks[0]), labels[0])
    moved = (
        move(scans[1], motion, "image"),
        *(move(m, motion, "mask") for m in (brain, lesion_masks[1])),
    )
    second = Session(midpoint.Scan(*moved), move(labels[1], motion, "labels"))
    ml = grid.voxel_volume(head) / 1000
    volumes = [ml * np.bincount(part.ravel(), minlength=1 + len(CLASSES)) for part in lesions]
    return (first, second), motion, volumes


def on_grid(labels, matrix, target):
    """Move the numbers of components to the midpoint space."""
    moved = nib.Nifti1Image(labels, matrix)
    return np.asanyarray(grid.resample(moved, target, order=0).dataobj)


def compare(sessions, motion, volumes):
    """Compare two sessions; return a row for each component over 1 ml, and the mean and the largest
    registration error, the disagreement of both directions (mm), and the Dice of the brains."""
    step, disagreement = midpoint.register_pair(*(session.scan for session in sessions))
    maps = midpoint.midpoint_maps([step])
    target = midpoint.midpoint_grid([session.scan.brain for session in sessions], maps)
    labels, counts, ml, truths = [], [], [], []
    for session, matrix in zip(sessions, maps, strict=True):
        numbers, count = components(session.scan.lesion.dataobj)
        labels.append(on_grid(numbers, matrix @ session.scan.lesion.affine, target))
        counts.append(count)
        ml.append(np.bincount(numbers.ravel()) * grid.voxel_volume(session.scan.lesion) / 1000)
        true = np.asanyarray(session.lesions.dataobj)
        inside = (numbers > 0) & (true > 0)
        pairs = np.zeros((count + 1, 1 + len(CLASSES)))
        np.add.at(pairs, (numbers[inside], true[inside]), 1)
        truths.append(pairs.argmax(1))
    rows = []
    for change in match_components(*labels, tuple(counts)):
        members = [*((0, n) for n in change.before), *((1, n) for n in change.after)]
        lesions = {int(truths[session][number]) for session, number in members}
        measured = [sum(ml[0][list(change.before)]), sum(ml[1][list(change.after)])]
        for session, number in members:
            lesion = int(truths[session][number])
            kind = list(CLASSES)[lesion - 1]
            true = [part[lesion] for part in volumes]
            error = (measured[1] - measured[0]) - (true[1] - true[0])
            is_right = lesions == {lesion} and change.kind == CLASSES[kind]
            if ml[session][number] > MIN_ML:
                rows.append((kind, is_right, 100 * abs(error) / max(true)))
    brain = sessions[0].scan.brain
    voxels = np.argwhere(np.asanyarray(brain.dataobj) > 0)
    points = apply_affine(brain.affine, voxels[:: max(1, len(voxels) // POINTS)])
    errors = np.linalg.norm(apply_affine(step @ motion, points) - points, axis=1)
    similarity = brain_dice([session.scan for session in sessions], maps, target)
    return rows, (errors.mean(), errors.max(), disagreement, similarity)


def brain_dice(scans, maps, target):
    """Return the Dice of the brains of two scans in the midpoint space."""
    brains = [
        on_grid(np.asanyarray(scan.brain.dataobj), matrix @ scan.brain.affine, target)
        for scan, matrix in zip(scans, maps, strict=True)
    ]
    return dice(*brains)


def agreement(first, second):
    """Register two scans; return the disagreement of both directions (mm), and the Dice of the
    brains."""
    step, disagreement = midpoint.register_pair(first, second)
    maps = midpoint.midpoint_maps([step])
    target = midpoint.midpoint_grid([first.brain, second.brain], maps)
    return disagreement, brain_dice((first, second), maps, target)


def follow_ups():
    """Yield the agreement of real scans of patients with multiple sclerosis at two times."""
    for patient in FOLLOWED:
        scans = [
            real_scan(DATA / "heads" / "ms" / f"{patient}_{name}.nii.gz")
            for name in ("study1_T1W", "study2_T1W", "study2_FLAIR")
        ]
        for kind, second in zip(("T1w", "FLAIR"), scans[1:], strict=True):
            yield f"follow-up, {kind}", np.nan, np.nan, *agreement(scans[0], second)


def real_scan(path):
    """Return a real scan with its brain mask by deepbet, without a lesion mask."""
    head = image.conform(image.load(path))
    brain = brain_extraction.extract(head, "deepbet")
    return midpoint.Scan(head, brain, image.like(np.zeros(head.shape), head, np.uint8))


def main():
    """Command line."""
    command = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    command.add_argument("--heads", type=int, default=10)
    command.add_argument("--first", type=int, default=0, help="number of the first head")
    command.add_argument("--follow-ups", action="store_true", help="measure only the follow-ups")
    arguments = command.parse_args()
    if arguments.follow_ups:
        for pair in follow_ups():
            print(*pair, flush=True)
        return
    paths = sorted((DATA / "heads" / "ixi").glob("*_ds.nii.gz"))
    lesions, pairs, previous = [], [], None
    for number in range(arguments.first, min(arguments.first + arguments.heads, len(paths))):
        rng = np.random.default_rng(number)
        contrast = "another" if number % 2 else "same"
        sessions, motion, volumes = simulate(paths[number], contrast == "another", rng)
        rows, measures = compare(sessions, motion, volumes)
        lesions += [(number, contrast, *row) for row in rows]
        pairs.append((f"same head, {contrast} contrast", *measures))
        print(summarize(lesions, "head").tail(1).to_markdown(), pairs[-1], flush=True)
        if previous:
            measures = agreement(previous, sessions[1].scan)
            pairs.append(("another head", np.nan, np.nan, *measures))
            print(pairs[-1], flush=True)
        previous = sessions[0].scan
    for column in ("lesion", "contrast", "all"):
        print(summarize(lesions, column).to_markdown())
    table = pd.DataFrame(pairs, columns=["second session", *AGREEMENT])
    print(table.groupby("second session", sort=False).agg(["min", "max"]).round(2).to_markdown())


def summarize(rows, column):
    """Return the number of components, the share with the right class, and the errors by a column."""
    table = pd.DataFrame(rows, columns=["head", "contrast", "lesion", "right", "error"])
    groups = table.assign(all="all").groupby(column, sort=False)
    summary = {
        "components": groups.size(),
        "right class (%)": 100 * groups["right"].mean(),
        "error of the change (%), mean": groups["error"].mean(),
        "error of the change (%), largest": groups["error"].max(),
    }
    return pd.DataFrame(summary).round(2)


if __name__ == "__main__":
    main()
