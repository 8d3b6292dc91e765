import re
from html.parser import HTMLParser

import drawings
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import session_tables
import sources

from bids_stroke.bids.record import Record
from bids_stroke.cohort.columns import COLUMNS
from bids_stroke.reports.columns import MEASURES, cell, column_title
from bids_stroke.reports.figures.axial import draw_axial
from bids_stroke.reports.figures.brain_mask import draw_brain_mask
from bids_stroke.reports.figures.overview import draw_overview
from bids_stroke.reports.participant.report import participant_report
from bids_stroke.reports.participant.sections import MAX_BYTES, specification

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


FIGURES = (
    "desc-brain_T1w",
    "desc-lesion_T1w",
    "desc-lesion_FLAIR",
    "desc-lesion_TRACE",
    "desc-coreg_FLAIR",
    "desc-mni_T1w",
    "desc-lesionmni_T1w",
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


@pytest.fixture
def derivatives(tmp_path):
    names = ("sub-01_ses-1", "sub-01_ses-2", "sub-01_ses-10", "sub-012_ses-1", "sub-02")
    for name in names:
        session(tmp_path, name)
    return tmp_path


def sessions_of(html):
    """Return the HTML of each session by its label, of a page with several sessions."""
    parts = html.split("<h2>Session ")[1:]
    return {part.split("<")[0]: part.split('<details class="card" id="methods"')[0] for part in parts}


def test_each_session_has_its_figures_once(derivatives):
    out = participant_report(derivatives, "sub-01")
    assert out == derivatives / "sub-01.html"
    html = out.read_text(encoding="utf-8")
    assert re.findall(r"<h1>(.*?)</h1>", html) == ["sub-01"]
    assert re.findall(r"<h2>(.*?)</h2>", html)[-2:] == ["Methods", "Errors"]
    parts = sessions_of(html)
    assert sorted(parts) == ["1", "10", "2"]
    for label, part in parts.items():
        name = f"sub-01_ses-{label}"
        figures = re.findall(r"<text>\[(\S+) (\S+)\]</text>", part)
        assert {owner for owner, _ in figures} == {name}
        assert [figure for _, figure in figures] == list(FIGURES), "the order of the checks"
        assert "Contour of the lesion mask on the FLAIR." in part
        assert html.count(f"/data/{name}_T1w.nii.gz") == 1


def test_the_order_of_the_sections_is_that_of_the_docs(derivatives):
    html = participant_report(derivatives, "02").read_text(encoding="utf-8")
    titles = re.findall(r"<summary><h2>(.*?)</h2>", html)
    assert titles == ["Brain mask", "Lesion", "Alignment", "Methods", "Errors"]
    steps = re.compile(r"^\d\. \*\*(.*?)\*\*", re.MULTILINE)
    for page in ("README.md", "docs/reports.md"):
        documented = steps.findall((sources.ROOT / page).read_text(encoding="utf-8"))
        assert documented == [entry["title"] for entry in specification()], page


def test_the_contents_list_all_parts(derivatives):
    html = participant_report(derivatives, "01").read_text(encoding="utf-8")
    ids = re.findall(r' id="(.*?)"', html)
    assert len(ids) == len(set(ids))
    contents = dict(re.findall(r'<a href="#(.*?)">(.*?)</a>', html))
    assert set(contents) - {f"ses-{n}-session" for n in (1, 2, 10)} <= set(ids)
    for n in (1, 2, 10):
        listed = [title for anchor, title in contents.items() if anchor.startswith(f"ses-{n}-")]
        assert {"Brain mask", "Lesion on T1w", "Lesion on FLAIR", "Lesion on TRACE"} <= set(listed)


def test_tracts_are_listed_by_name(tmp_path):
    figures = tmp_path / "sub-01" / "figures"
    figures.mkdir(parents=True)
    drawn = {}
    for atlas in ("JuelichCST", "SMATTM1"):
        path = figures / f"sub-01_atlas-{atlas}_desc-tract_T1w.svg"
        path.write_text(SVG.format(atlas))
        drawn[f"tract_figure@{atlas}"] = path.relative_to(tmp_path).as_posix()
    session(tmp_path, "sub-01", outputs={"image": "missing", **drawn})
    html = participant_report(tmp_path, "01").read_text(encoding="utf-8")
    listed = re.findall(r'<a href="#tract-\d">(.*?)</a>', html)
    assert listed == ["Lesion and tract JuelichCST", "Lesion and tract SMATTM1"]


def test_a_participant_without_sessions(derivatives):
    html = participant_report(derivatives, "02").read_text(encoding="utf-8")
    assert "Session" not in re.sub(r"<(style|script)>.*?</\1>", "", html, flags=re.DOTALL)
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
    session(derivatives, name, outputs=session_tables.write(derivatives, name))
    part = sessions_of(participant_report(derivatives, "01").read_text(encoding="utf-8"))["2"]
    assert "1 ml, left; 29 components; largest share of a CST cross-section 20%." in part
    facts = re.findall(r"<span>([^<]*)</span>\s*<b>(.*?)</b>", part)
    assert facts == [
        ("Lesion volume", "1"),
        ("Components", "29"),
        ("CST weighted load, side of the lesion", "0.567"),
        ("Largest share of a CST cross-section", "20%"),
    ]
    rows = [re.findall(r"<td.*?>(.*?)</td>", row) for row in part.split("<tr>")]
    assert ["Raw load (ml)", "0.123", "0", "0.123", "0", "0.123"] in rows, "a measure in each row"
    assert ["Brain volume (ml)", "1234"] in rows and ["SNR", "20"] in rows
    assert "&lt;i&gt;small" in part and "<i>small" not in part
    assert "Volume (ml)" in part and "The file has 10 more rows." in part


def test_the_command_line_and_the_date(tmp_path):
    command = "bids_stroke /bids /out participant --work-dir '<a b>'"
    facts = {"command": command, "date": "2026-01-31T09:05:07+01:00"}
    Record("sub-07", "x", outputs={"image": "missing"}, **facts).write(tmp_path)
    html = participant_report(tmp_path, "07").read_text(encoding="utf-8")
    assert "--work-dir &#39;&lt;a b&gt;&#39;" in html
    assert "2026-01-31 09:05" in html


def test_a_flagged_session_is_amber(derivatives):
    name = "sub-01_ses-2"
    flags = {"brain_volume": "The brain mask has 700 ml.", "agreement": "Low <similarity>."}
    session(derivatives, name, outputs=session_tables.write(derivatives, name), flags=flags)
    html = participant_report(derivatives, "01").read_text(encoding="utf-8")
    links = re.findall(r'<a class="state (\w+)" href="#(.*?)"><b>(.*?)</b> (.*?)</a>', html)
    assert ("amber", "ses-2-session", "Session 2", "Check: brain volume, agreement") in links
    part = sessions_of(html)["2"]
    assert '<div class="state amber">' in part and "state green" not in part
    assert "The brain mask has 700 ml." in part and "Low &lt;similarity&gt;." in part


def test_the_status_of_the_category_is_shown_only_with_a_category(derivatives):
    name = "sub-01_ses-2"
    outputs = session_tables.write(derivatives, name)
    path = derivatives / outputs["loads@JuelichCST"]
    table = path.read_text()
    path.write_text(table.replace("<i>small", "small"))
    session(derivatives, name, outputs=outputs)
    (part,) = tiles_of(participant_report(derivatives, "01"), "2")
    assert "category: small (unvalidated)" in part
    assert "The cut-offs of the category were derived on another tract map" in part
    path.write_text(table.replace("<i>small", "n/a"))
    (part,) = tiles_of(participant_report(derivatives, "01"), "2")
    assert "unvalidated" not in part and "cut-offs" not in part


def tiles_of(page, label):
    """Return the key numbers of a session."""
    part = sessions_of(page.read_text(encoding="utf-8"))[label]
    return re.findall(r'<div class="key-numbers">(.*?)</div>\s*</div>', part, re.DOTALL)


def test_without_a_lesion(derivatives):
    name = "sub-01_ses-2"
    outputs = session_tables.write(derivatives, name)
    path = derivatives / outputs["components"]
    empty = pd.read_csv(path, sep="\t").iloc[:1].assign(volume_ml=0.0, volume_template_ml=0.0)
    empty.to_csv(path, sep="\t", index=False, na_rep="n/a")
    session(derivatives, name, outputs=outputs)
    parts = sessions_of(participant_report(derivatives, "01").read_text(encoding="utf-8"))
    assert '<p class="sentence">No lesion found.</p>' in parts["2"]
    assert "No lesion was found; check for a missed lesion." in parts["2"]
    assert "close-up of the largest component" not in parts["2"]
    assert "close-up of the largest component" in parts["1"]


def test_axial_slices_of_all_contrasts_are_together(tmp_path):
    head, brain = drawings.head(), drawings.ball("RAS", (0, 0, 10), 60)
    mask = drawings.ball("RAS", (-30, 0, 10), 12)
    folder = tmp_path / "sub-01" / "figures"
    folder.mkdir(parents=True)
    drawn = {
        "axial_figure": draw_axial(head, mask, brain, folder / "sub-01_desc-axial_T1w.svg"),
        "axial_figure@FLAIR": draw_axial(
            head, mask, brain, folder / "sub-01_desc-axial_FLAIR.svg", "FLAIR"
        ),
        "overview_figure": draw_overview(head, mask, brain, folder / "sub-01_desc-overview_T1w.svg"),
    }
    outputs = {role: path.relative_to(tmp_path).as_posix() for role, path in drawn.items()}
    Record("sub-01", "x", outputs=outputs).write(tmp_path)
    html = participant_report(tmp_path, "01").read_text(encoding="utf-8")
    (block,) = re.findall(r'<div class="linked".*?</section>', html, re.DOTALL)
    assert re.findall(r'data-label="(.*?)"', block) == ["T1w", "FLAIR"]
    labels = re.findall(r"<figcaption>(.*?)</figcaption></figure>", html)
    assert labels[0].startswith("z = ") and labels[3:] == ["from the left", "from behind", "from above"]
    assert "desc-overview" not in html and html.count("<image") == 2 + 6


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
    parts = sessions_of(page.read_text(encoding="utf-8"))
    linked = {label: re.findall(r'href="(.*?_viewer.html)"', part) for label, part in parts.items()}
    assert linked == {"1": [], "2": [path.name], "10": []}
    html = participant_report(derivatives, "01", embed_viewers=True).read_text(encoding="utf-8")
    frames = parse(page).frames
    assert frames == [content] and path.name not in html and not path.exists()


def test_drawing_pages_are_linked(derivatives):
    path = derivatives / "sub-01_ses-2_drawing.html"
    path.write_text("")
    for embed_viewers in (False, True):
        page = participant_report(derivatives, "01", embed_viewers)
        parts = sessions_of(page.read_text(encoding="utf-8"))
        linked = [label for label, part in parts.items() if f'href="{path.name}"' in part]
        assert linked == ["2"] and path.exists()


def test_methods_and_errors(derivatives):
    session(derivatives, "sub-01_ses-3", status="failed", error="T1w.nii.gz is <2D>; give 3D.")
    session(derivatives, "sub-012_ses-1", status="failed", error="another")
    (derivatives / "logs" / "sub-01_ses-3_crash.txt").write_text("in_file = <undefined>")
    described = "Done with N4 <script>alert(1)</script>."
    session(derivatives, "sub-01_ses-4", description=described)
    html = participant_report(derivatives, "01").read_text(encoding="utf-8")
    assert '<a class="state red" href="#ses-3-session"><b>Session 3</b> Failed</a>' in html
    assert re.search(r'id="errors"[^>]* open>', html)
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
    assert html.count("<script>") == 1 and html.count("&lt;script&gt;") == 11
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
