import re
from html.parser import HTMLParser

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from bids_stroke.atlases import load_columns
from bids_stroke.bids.record import Record
from bids_stroke.cohort.columns import COLUMNS
from bids_stroke.reports.columns import MEASURES, cell, column_title
from bids_stroke.reports.figures.brain_mask import draw_brain_mask
from bids_stroke.reports.participant.report import MAX_BYTES, participant_report
from bids_stroke.spatial.templates import TEMPLATE

SVG = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9" class="fading">\n'
    "<text>{}</text></svg>\n"
)


class Links(HTMLParser):
    """Collects the resources that a page loads, and its text."""

    def __init__(self):
        super().__init__()
        self.loads, self.tags, self.text, self.frames = [], [], "", []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        wanted = ("src", "data") if tag != "link" else ("href",)
        self.loads += [value for name, value in attrs if name in wanted and tag != "a"]
        self.frames += [value for name, value in attrs if name == "srcdoc"]

    def handle_data(self, data):
        self.text += data


def parse(path):
    page = Links()
    page.feed(path.read_text(encoding="utf-8"))
    return page


NUMBERS = load_columns.NUMBERS
FIGURES = (
    "desc-brain_T1w",
    "desc-coreg_FLAIR",
    "desc-lesion_FLAIR",
    "desc-lesion_TRACE",
    "desc-lesion_T1w",
    "desc-lesionmni_T1w",
    "desc-mni_T1w",
)


def session(out, name, **facts):
    """Write the figures and the record of a session."""
    figures = out / name.split("_")[0] / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    drawn = {}
    for figure in FIGURES:
        path = figures / f"{name}_{figure}.svg"
        path.write_text(SVG.format(f"[{name} {figure}]"))
        desc, _, contrast = figure.removeprefix("desc-").partition("_")
        drawn[f"{desc}_figure@{contrast}"] = path.relative_to(out).as_posix()
    outputs = drawn | facts.pop("outputs", {"image": "missing"})
    record = Record(
        name,
        "identity",
        model="simstroke",
        reference="T1w",
        contrasts=["T1w"],
        inputs={"T1w": f"/data/{name}_T1w.nii.gz", "FLAIR": f"/data/{name}_FLAIR.nii.gz"},
        outputs=outputs,
        **{"status": "ok", **facts},
    )
    record.write(out)


def tables(out, name):
    """Write tables and mask of a session as the pipelines do: 30 components, 1 ml in total."""
    folder = out.joinpath(*name.split("_")) / "anat"
    folder.mkdir(parents=True)
    entities = "label-L_desc-T1lesion"
    components = pd.DataFrame({"component": ["all", *range(1, 30)], "volume_ml": 1.0})
    components = components.assign(hemisphere="left", max_probability=0.9, mean_probability=0.7)
    components = components.assign(volume_template_ml=1.2, outside_brain_share=0.0)
    loads = pd.DataFrame(
        {
            "side": load_columns.ROWS,
            "lesion_side": "left",
            **{number: [0.1, 0.0, 0.1, 0.0, 0.1] for number in NUMBERS},
            "raw_load_ml": [0.1234, 0.0, 0.1234, 0.0, 0.1234],
            "weighted_load_ml": [0.567, 0.0, 0.567, 0.0, 0.567],
            "max_slice_load": [0.2, 0.0, 0.2, 0.0, 0.2],
            "category": ["<i>small", None, "<i>small", None, "<i>small"],
            "category_status": "unvalidated",
        }
    )
    quality = pd.DataFrame({"contrast": ["T1w"], "brain_volume_ml": [1234.0], "snr": [20.0]})
    written = {
        f"{name}_space-T1w_{entities}_morph.tsv": components,
        f"{name}_space-{TEMPLATE}_atlas-JuelichCST_{entities}_morph.tsv": loads,
        f"{name}_desc-quality_morph.tsv": quality,
    }
    for file, table in written.items():
        table.to_csv(folder / file, sep="\t", index=False, na_rep="n/a")
    mask = nib.Nifti1Image(np.ones((2, 2, 2), np.uint8), np.eye(4))
    nib.save(mask, folder / f"{name}_space-{TEMPLATE}_res-1_{entities}_mask.nii.gz")
    names = [*written, f"{name}_space-{TEMPLATE}_res-1_{entities}_mask.nii.gz"]
    roles = ("components", "loads@JuelichCST", "image_quality", f"lesion_mask@{TEMPLATE}")
    paths = ((folder / file).relative_to(out).as_posix() for file in names)
    return dict(zip(roles, paths, strict=True))


@pytest.fixture
def derivatives(tmp_path):
    names = ("sub-01_ses-1", "sub-01_ses-2", "sub-01_ses-10", "sub-012_ses-1", "sub-02")
    for name in names:
        session(tmp_path, name)
    return tmp_path


def test_each_session_has_its_figures_once(derivatives):
    out = participant_report(derivatives, "sub-01")
    assert out == derivatives / "sub-01.html"
    html = out.read_text(encoding="utf-8")
    headings = re.findall(r"<h2>(.*?)</h2>", html)
    assert headings[-2:] == ["Methods", "Errors"]
    assert sorted(headings[:-2]) == ["Session 1", "Session 10", "Session 2"]
    for part in html.split("<h2>Session ")[1:]:
        name = f"sub-01_ses-{part.split('<')[0]}"
        figures = re.findall(r"<text>\[(\S+) (\S+)\]</text>", part)
        assert {owner for owner, _ in figures} == {name}
        order = [figure for _, figure in figures]
        assert sorted(order) == sorted(FIGURES)
        assert order[:3] == ["desc-lesion_T1w", "desc-lesion_FLAIR", "desc-lesion_TRACE"]
        assert "Contour of the lesion mask on the FLAIR." in part
        assert f"/data/{name}_T1w.nii.gz" in part and "simstroke" in part


def test_a_participant_without_sessions(derivatives):
    html = participant_report(derivatives, "02").read_text(encoding="utf-8")
    assert re.findall(r"<h2>(.*?)</h2>", html) == ["Lesion", "Methods", "Errors"]
    assert html.count("[sub-02 ") == len(FIGURES)


def test_the_page_loads_nothing(derivatives):
    page = parse(participant_report(derivatives, "01"))
    assert page.loads == []
    assert "link" not in page.tags and "object" not in page.tags


def test_the_figures_are_not_modified(derivatives):
    def contents():
        return {path: path.read_bytes() for path in derivatives.rglob("*.svg")}

    before = contents()
    participant_report(derivatives, "01")
    assert contents() == before


def test_measures_components_and_loads(derivatives):
    name = "sub-01_ses-2"
    session(derivatives, name, outputs=tables(derivatives, name))
    html = participant_report(derivatives, "01").read_text(encoding="utf-8")
    assert html.count("Lesion components") == html.count("Load on tracts and regions") == 1
    part = html.split("<h2>Session 2<")[1].split("<h2>")[0]
    tiles = dict(re.findall(r'class="tile"><span>(.*?)</span><b>(.*?)</b>', part))
    assert tiles["Lesion volume"] == "1" and tiles["Number of components"] == "29"
    assert tiles["CST weighted load left"] == "0.567" and tiles["CST raw load right"] == "0"
    assert tiles["CST max slice load left"] == "0.2" and "CST category" not in tiles
    assert "&lt;i&gt;small" in part and "unvalidated" in part
    assert "Volume (ml)" in part and "The file has 10 more rows." in part
    assert "n/a" in part and "desc-quality" not in part


def test_notes_show_short_paths(tmp_path):
    mask = "/data/my masks/sub-07/anat/sub-07_label-L_mask.nii.gz"
    notes = [f"The lesion mask is {mask}.", "No path here / or there."]
    facts = {"notes": notes, "ambiguous": notes[:1], "inputs": {"lesion mask": mask}}
    Record("sub-07", "identity", "failed", "It failed.", **facts).write(tmp_path)
    html = participant_report(tmp_path, "07").read_text(encoding="utf-8")
    assert ">The lesion mask is sub-07/anat/sub-07_label-L_mask.nii.gz.<" in html
    assert ">No path here / or there.<" in html


def test_viewers_are_linked_or_embedded(derivatives):
    content = """<title a='1'>"viewer" & &amp; more</title>"""
    path = derivatives / "sub-01_ses-2_viewer.html"
    path.write_text(content)
    page = participant_report(derivatives, "01")
    parts = page.read_text(encoding="utf-8").split("<h2>Session ")[1:]
    linked = {part.split("<")[0]: re.findall(r'href="(.*?_viewer.html)"', part) for part in parts}
    assert linked == {"1": [], "2": [path.name], "10": []}
    html = participant_report(derivatives, "01", embed_viewers=True).read_text(encoding="utf-8")
    frames = parse(page).frames
    assert frames == [content] and path.name not in html and not path.exists()


def test_methods_and_errors(derivatives):
    session(derivatives, "sub-01_ses-3", status="failed", error="T1w.nii.gz is <2D>; give 3D.")
    session(derivatives, "sub-012_ses-1", status="failed", error="another")
    (derivatives / "logs" / "sub-01_ses-3_crash.txt").write_text("in_file = <undefined>")
    described = "Done with N4 <script>alert(1)</script>."
    session(derivatives, "sub-01_ses-4", description=described)
    html = participant_report(derivatives, "01").read_text(encoding="utf-8")
    assert "1 session failed" in html
    assert "<b>sub-01_ses-3</b>: T1w.nii.gz is &lt;2D&gt;; give 3D." in html
    assert "&lt;undefined&gt;" in html and "<undefined>" not in html
    assert "sub-012" not in html and "another" not in html
    assert "Done with N4 &lt;script&gt;" in html and "<script>alert" not in html
    assert "No errors to report" in participant_report(derivatives, "02").read_text()


def test_a_session_that_failed_at_once_has_a_report(tmp_path):
    Record("sub-07", "identity", error="The process was killed (signal 9).").write(tmp_path)
    html = participant_report(tmp_path, "07").read_text(encoding="utf-8")
    assert html.count("The process was killed (signal 9).") == 2
    assert "sub-08" in participant_report(tmp_path, "08").read_text(), "not even a record"


def test_text_of_records_is_escaped(tmp_path):
    hostile = "<script>alert(1)</script>"
    facts = {"notes": [hostile], "error": hostile, "status": "failed"}
    Record(
        "sub-07",
        "identity",
        model=hostile,
        reference=hostile,
        inputs={hostile: hostile},
        steps={hostile: 61.234},
        versions={hostile: hostile},
        **facts,
    ).write(tmp_path)
    html = participant_report(tmp_path, "07").read_text(encoding="utf-8")
    assert "<script" not in html and html.count("&lt;script&gt;") == 10
    assert "61.2" in html and "native space" in html


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (3, "3"),
        (0.012345, "0.0123"),
        (23456.7, "23457"),
        (float("nan"), "n/a"),
        (None, "n/a"),
        (pd.NA, "n/a"),
        ("left", "left"),
    ],
)
def test_cells(value, text):
    assert cell(value) == text


def test_column_titles():
    assert column_title("lesion_volume_ml") == "Lesion volume (ml)"
    assert column_title("n_components") == "Number of components"
    assert column_title("participant_id") == "Participant ID"
    assert column_title("cst_weighted_load_ml_left") == "CST weighted load left (ml)"
    assert column_title("age") == "Age"


def test_the_measures_are_columns_of_the_group_table():
    assert {name for name in MEASURES if not name.startswith("cst_")} <= set(COLUMNS)
    loads = (name.removeprefix("cst_").removesuffix("_left") for name in MEASURES)
    assert {"weighted_load_ml", "raw_load_ml", "max_slice_load"} <= set(loads)


def test_many_figures_are_downscaled(tmp_path):
    rng = np.random.default_rng(0)
    noise = rng.uniform(0, 100, (90, 100, 90)).astype(np.float32)
    head = nib.Nifti1Image(noise, np.diag([2.0, 2, 2, 1]))
    mask = nib.Nifti1Image(np.ones(head.shape, np.uint8), head.affine)
    folder = tmp_path / "sub-01" / "figures"
    folder.mkdir(parents=True)
    drawn = draw_brain_mask(head, mask, tmp_path / "brain.svg").read_text()
    sessions = [f"sub-01_ses-{number:02}" for number in range(1 + 2 * MAX_BYTES // len(drawn))]
    for name in sessions:
        path = folder / f"{name}_desc-brain_T1w.svg"
        path.write_text(drawn)
        figure = path.relative_to(tmp_path).as_posix()
        Record(name, "x", outputs={"brain_figure@T1w": figure}).write(tmp_path)
    page = participant_report(tmp_path, "01")
    assert 2_000_000 < page.stat().st_size < 6_000_000
    assert page.read_text().count("<svg") == len(sessions)
