"""Derivatives of a cohort with lesion masks in template space, without the participant level."""

import nibabel as nib
import numpy as np
import pandas as pd
from nibabel.affines import apply_affine

from bids_stroke.atlases.load_columns import NUMBERS, ROWS
from bids_stroke.atlases.super_regions import super_regions_card
from bids_stroke.bids.derivatives import write_tsv
from bids_stroke.bids.names import derivative, folder_of
from bids_stroke.bids.record import Record
from bids_stroke.spatial.templates import TEMPLATE, template

ENTITIES = {"label": "L", "desc": "ownlesion"}
NUMBER = 14
NAMES = [f"sub-{number:02}" for number in range(1, NUMBER + 1)]
SIDES = ("left", "left", "right", "left", "left", "bilateral", "left") * 2
SCORES = (3, 7, 1, 9, 12, 4, 2, 8, 15, 6, 5, 11, 0, 10)


def save_ball(path, center, radius):
    """Write a mask of a ball (mm) on the grid of the template; return its volume (ml)."""
    grid = template().t1w
    data = np.zeros(grid.shape, np.uint8)
    start = np.rint(apply_affine(np.linalg.inv(grid.affine), center)).astype(int) - 20
    box = np.moveaxis(np.indices((41, 41, 41)), 0, -1) + start
    inside = np.linalg.norm(apply_affine(grid.affine, box) - center, axis=-1) <= radius
    data[tuple(box[inside].T)] = 1
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(data, grid.affine), path)
    return 0.001 * int(data.sum())


def add_session(out, name, center, radius, side):
    """Write the outputs and the record of a session whose lesion is a ball; ``side`` is its hemisphere.

    The loads and shares follow from the size and the height of the lesion.
    """
    folder = out / folder_of(name)
    mask = folder / derivative(name, "mask", space=TEMPLATE, res="1", **ENTITIES)
    volume = save_ball(mask, center, radius)
    load = volume * (1 + center[2] / 100) / 10
    left, right = (load * (side in (tract, "bilateral")) for tract in ("left", "right"))
    sides = {"left": (left, right), "right": (right, left)}.get(side, (np.nan, np.nan))
    values = [left, right, *sides, left + right]
    loads = pd.DataFrame({"side": ROWS} | dict.fromkeys(NUMBERS, values))
    loads = loads.assign(lesion_side=side, category="small", category_status="unvalidated")
    card = super_regions_card()
    shares = np.arange(4) * volume / 1000 + (np.arange(4) == round(radius) % 4) * 0.1
    regions = pd.DataFrame(
        {
            "region": [card.full_name(code) for code in card.names],
            "region_volume_ml": 500.0,
            "lesion_volume_ml": 500 * shares,
            "lesion_share": shares / max(shares.sum(), 1e-9),
            "region_share": shares,
        }
    )
    components = pd.DataFrame(
        {
            "component": ["all"],
            "volume_ml": [volume],
            "volume_template_ml": [volume],
            "outside_brain_share": [0.0],
            "hemisphere": [side],
            "mean_probability": [np.nan],
            "max_probability": [np.nan],
        }
    )
    tables = {
        f"components@{TEMPLATE}": (components, {}),
        "loads@JuelichCST": (loads, {"atlas": "JuelichCST"}),
        f"regions@{card.atlas}": (regions, {"atlas": card.atlas}),
    }
    outputs = {f"lesion_mask@{TEMPLATE}": mask.relative_to(out).as_posix()}
    for role, (table, atlas) in tables.items():
        path = folder / derivative(name, "morph", ".tsv", space=TEMPLATE, **atlas, **ENTITIES)
        outputs[role] = write_tsv(table, path).relative_to(out).as_posix()
    Record(name, "x", "ok", model="own masks", reference=TEMPLATE, outputs=outputs).write(out)


def write_cohort(root):
    """Write a dataset with outcomes, and derivatives of lesions around one place; return the folders.

    The column ``range`` of participants.tsv has a text instead of a number.
    """
    bids, out = root / "bids", root / "out"
    bids.mkdir()
    rng = np.random.default_rng(0)
    for name, side in zip(NAMES, SIDES, strict=True):
        x = {"left": -1, "right": 1, "bilateral": 0}[side] * rng.uniform(24, 30)
        center = x, rng.uniform(-8, 8), rng.uniform(10, 26)
        add_session(out, f"{name}_ses-1", center, rng.uniform(8, 14), side)
    numbers = np.arange(NUMBER)
    people = pd.DataFrame({"participant_id": NAMES, "score": SCORES, "age": 50 + 3 * numbers % 17})
    people["sex"] = np.where(numbers % 2, "M", "F")
    people["range"] = np.where(numbers == 5, "high", numbers.astype(str))
    people.to_csv(bids / "participants.tsv", sep="\t", index=False)
    return bids, out
