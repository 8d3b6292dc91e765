"""Place of a session in its cohort, in the participant report."""

import numpy as np
import pandas as pd

from bids_stroke.bids.record import Record
from bids_stroke.cohort.place import Place
from bids_stroke.execution.reporting import update_places
from bids_stroke.reports.participant.cohort import describe_places
from bids_stroke.reports.participant.report import participant_report

TABLE = pd.DataFrame(
    {
        "participant_id": ["sub-1", "sub-1", "sub-2", "sub-3"],
        "session_id": ["ses-1", "ses-2", np.nan, np.nan],
        "lesion_volume_ml": [1.0, 5.0, 20.0, 80.0],
    }
)


def texts(page):
    parts = page.read_text(encoding="utf-8").split('<p class="cohort" data-session="')[1:]
    return {part.split('"')[0]: part.split(">", 1)[1].split("</p>")[0] for part in parts}


def write(out, *names):
    for name in names:
        Record(name, "x", error='<p class="cohort" data-session="sub-1_ses-1">').write(out)
    return participant_report(out, names[0].partition("_")[0])


def test_measures_of_the_same_sessions_share_their_number():
    places = {
        "lesion_volume_ml": Place(1.0, 50.4, 3),
        "cst_weighted_load_ml_total": Place(1.0, 0, 1),
        "cst_max_slice_load_total": Place(1.0, 100, 1),
    }
    assert describe_places(places) == (
        "Percentiles in the cohort: lesion volume 50 (3 other sessions); CST weighted load 0, CST "
        "largest share of a cross-section 100 (1 other session)."
    )
    assert describe_places({}) == ""


def test_the_group_level_updates_all_pages(tmp_path):
    first, other = write(tmp_path, "sub-1_ses-1", "sub-1_ses-2"), write(tmp_path, "sub-2")
    before = first.read_text(encoding="utf-8")
    assert texts(first) == {"sub-1_ses-1": "", "sub-1_ses-2": ""}
    update_places(tmp_path, TABLE)
    volume = "Percentiles in the cohort: lesion volume {} (3 other sessions)."
    assert texts(first) == {"sub-1_ses-1": volume.format(0), "sub-1_ses-2": volume.format(33)}
    assert texts(other) == {"sub-2": volume.format(67)}
    assert not (tmp_path / "sub-3.html").exists()
    update_places(tmp_path, TABLE[2:])
    assert texts(other) == {"sub-2": "Percentiles in the cohort: lesion volume 0 (1 other session)."}
    assert first.read_text(encoding="utf-8") == before, "a session that is no longer in the cohort"


def test_pages_in_another_encoding_are_not_an_error(tmp_path):
    (tmp_path / "sub-notes.html").write_bytes("<p>Müller</p>".encode("latin-1"))
    page = write(tmp_path, "sub-2")
    update_places(tmp_path, TABLE)
    assert texts(page)["sub-2"]
    assert (tmp_path / "sub-notes.html").read_bytes().decode("latin-1") == "<p>Müller</p>"
