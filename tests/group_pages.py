"""Group reports of made-up cohorts, for tests in a browser."""

import numpy as np
import pandas as pd

from bids_stroke.bids.record import Record
from bids_stroke.reports.group.report import group_report

AGREEMENT = "The FLAIR differs."
GROUPS = ["age", "sex", "time since stroke"]


def write_session(out, name, kinds=(), flags=None):
    """Write the record of a session with tiny figures."""
    outputs = {}
    participant = name.partition("_")[0]
    for kind in kinds:
        path = out / participant / "figures" / f"{name}_desc-{kind}_T1w.svg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><desc>{kind}</desc></svg>'
        )
        outputs[f"{kind}_figure"] = path.relative_to(out).as_posix()
    Record(name, "identity", "ok", outputs=outputs, flags=flags or {}).write(out)


def cohort(sessions):
    """Return a group table: volumes from 1 to 100 ml in the order of the participants, then 0; every
    fifth session has no lesion, and sub-3 failed a QC check."""
    rng = np.random.default_rng(0)
    numbers = np.arange(1, sessions + 1)
    volumes = np.where(numbers % 5 == 0, 0, 100 ** (numbers / sessions)).round(3)
    side = np.where(numbers % 2 == 0, "left", "right").astype(object)
    return pd.DataFrame(
        {
            "participant_id": [f"sub-{number}" for number in numbers],
            "session_id": [np.nan] * sessions,
            "qc_flags": ["agreement" if number == 3 else None for number in numbers],
            "reference": "T1w",
            "lesion_volume_ml": volumes,
            "n_components": rng.integers(1, 9, sessions),
            "hemisphere": np.where(volumes > 0, side, None),
            "brain_volume_ml": rng.normal(1400, 80, sessions).round(),
            "cst_weighted_load_ml_total": (volumes * rng.uniform(0, 0.2, sessions)).round(4),
            "cst_max_slice_load_total": rng.uniform(0, 1, sessions).round(3),
            "cst_category_status": "unvalidated",
            "age": rng.integers(30, 90, sessions).astype(str),
            "sex": np.where(numbers % 3 == 0, "F", "M"),
            "time since stroke": rng.integers(1, 400, sessions).astype(str),
        }
    )


def write_report(out, sessions, **arguments):
    """Write the figures, the participant reports and the group report of a made-up cohort."""
    table = cohort(sessions)
    for name in table["participant_id"]:
        flags = {"agreement": AGREEMENT} if name == "sub-3" else None
        write_session(out, name, ["lesion", "coreg"], flags)
        (out / f"{name}.html").write_text(f"<!DOCTYPE html><title>{name}</title>")
    return group_report(out, table, groups=GROUPS, **arguments)


def names(page):
    """Return the participants in the table of a page."""
    return page.locator("#cohort tbody td:first-child").all_inner_texts()
