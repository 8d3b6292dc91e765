import json
import re

import numpy as np
import pandas as pd
import pytest

from bids_stroke.bids.record import Record
from bids_stroke.cohort.columns import COLUMNS, describe_columns
from bids_stroke.qc.ratings import rate_cohort
from bids_stroke.reports.group.report import group_report
from bids_stroke.reports.group.table import LEADING_COLUMNS, ExcludedSession

HOSTILE = '"><script>alert(1)</script>'


@pytest.fixture
def table():
    return pd.DataFrame(
        {
            "age": [70, 61, np.nan],
            "participant_id": ["sub-10", "sub-2", "sub-2"],
            "session_id": ["ses-1", "ses-2", "ses-1"],
            "lesion_volume_ml": [40.0, 0.0, 10.0],
            "hemisphere": ["left", np.nan, "right"],
            "unused": [np.nan] * 3,
        }
    )


def content(path):
    """Data of the script of the page."""
    html = path.read_text(encoding="utf-8")
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', html)[1])


def cells(path):
    """Titles and rows of the table of sessions."""
    data = content(path)
    return [column["title"] for column in data["columns"]], data["rows"]


def test_order_of_columns_and_participants(tmp_path, table):
    titles, rows = cells(group_report(tmp_path, table))
    assert titles == [
        "Participant ID",
        "Session ID",
        "Status",
        "Lesion volume (ml)",
        "Hemisphere",
        "Age",
    ]
    assert rows == [
        ["sub-2", "ses-1", "done", 10, "right", None],
        ["sub-2", "ses-2", "no lesion found", 0, None, 61],
        ["sub-10", "ses-1", "done", 40, "left", 70],
    ]


@pytest.mark.parametrize(
    ("native", "is_shown"),
    [([40.0, 0.0, 10.0], False), ([40.0, 0.0, np.nan], True), ([np.nan] * 3, True)],
)
def test_the_volume_in_the_template_is_shown_if_it_is_the_only_one(tmp_path, table, native, is_shown):
    table = table.assign(lesion_volume_ml=native, lesion_volume_mni_ml=[41.0, 0.0, 11.0])
    page = group_report(tmp_path, table, failed=[ExcludedSession("sub-3")])
    (column,) = (c for c in content(page)["columns"] if c["name"] == "lesion_volume_mni_ml")
    assert column["first"] == is_shown


def tiles(html):
    """Values of the tiles by label."""
    pairs = re.findall(r'class="tile[^"]*"><span>(.*?)</span><b>(.*?)</b>', html)
    return {label: re.sub("<.*?>", "", value) for label, value in pairs}


def test_key_figures(tmp_path, table):
    (tmp_path / "dataset_description.json").write_text(
        json.dumps({"GeneratedBy": [{"Name": "bids_stroke", "Version": "9.8"}]})
    )
    html = group_report(tmp_path, table).read_text(encoding="utf-8")
    assert tiles(html) == {
        "Participants": "2",
        "Sessions measured": "3",
        "Sessions that failed QC checks": "0",
        "Sessions without a lesion": "1",
        "Sessions failed": "0",
        "Median lesion volume": "25 ml",
    }
    assert "<small>quartiles 17.5–32.5 ml, of 2 sessions with a lesion</small>" in html
    assert "bids_stroke 9.8" in html


def test_only_reports_that_exist_are_linked(tmp_path, table):
    (tmp_path / "sub-2.html").touch()
    assert content(group_report(tmp_path, table))["links"] == {"sub-2": "sub-2.html"}


def test_failed_sessions_are_listed_and_in_the_table(tmp_path, table):
    failed = [ExcludedSession("sub-3", "ses-1", "2D <image>")]
    out = group_report(tmp_path, table, failed=failed)
    html = out.read_text(encoding="utf-8")
    assert "2D &lt;image&gt;" in html
    _, rows = cells(out)
    assert [row[0] for row in rows] == ["sub-2", "sub-2", "sub-3", "sub-10"]
    assert rows[2] == ["sub-3", "ses-1", "failed", None, None, None]


def test_text_from_the_data_is_escaped(tmp_path):
    table = pd.DataFrame({"participant_id": [HOSTILE], HOSTILE: [HOSTILE]})
    failed = [ExcludedSession(HOSTILE, reason=HOSTILE)]
    (tmp_path / "dataset_description.json").write_text(
        json.dumps({"GeneratedBy": [{"Name": HOSTILE, "Version": HOSTILE}]})
    )
    html = group_report(tmp_path, table, failed=failed).read_text(encoding="utf-8")
    assert "alert(1)" in html and "<script>alert" not in html
    assert html.count("<script") == 2, "the page's own, and its data"


def test_the_page_embeds_the_figure_and_loads_nothing(tmp_path, table):
    figure = tmp_path / "overlap.svg"
    figure.write_text('<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>\n')
    html = group_report(tmp_path, table, figure).read_text(encoding="utf-8")
    assert "<svg xmlns" in html and "<?xml" not in html
    markup = re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)
    assert not re.search(r"<(link|img|iframe|object)\b", markup)
    assert not re.search(r"<script[^>]+src", html)
    assert all(target.startswith("#") for target in re.findall(r"url\((.*?)\)", markup))


def test_reports_with_only_participants_or_only_failures(tmp_path):
    alone = group_report(tmp_path, pd.DataFrame({"participant_id": ["sub-1"]}))
    titles, rows = cells(alone)
    assert titles == ["Participant ID", "Status"] and rows == [["sub-1", "done"]]
    empty = pd.DataFrame({"participant_id": []})
    failed = [ExcludedSession("sub-1", reason="no T1w")]
    _, rows = cells(group_report(tmp_path, empty, failed=failed))
    assert rows == [["sub-1", "failed"]]


def test_the_first_columns_are_columns_of_the_group_table():
    assert {name for name in LEADING_COLUMNS if not name.startswith("cst_")} <= {
        *COLUMNS,
        "status",
        "stands_out",
    }
    loads = [name for name in LEADING_COLUMNS if name.startswith("cst_")]
    columns = describe_columns(dict.fromkeys([*loads, "cst_category_status"]))
    assert not any("participants.tsv" in columns[name]["Description"] for name in loads)


def test_summary_of_loads(tmp_path, table):
    summary = pd.DataFrame({"tract": ["cst"], "group": ["all"], "n_small": [3], "empty": [np.nan]})
    html = group_report(tmp_path, table, summary=summary).read_text(encoding="utf-8")
    assert 'id="loads"' in html and "Number of small" in html and "Empty" not in html
    assert 'id="loads"' not in group_report(tmp_path, table).read_text(encoding="utf-8")


def cohort_of(n):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "participant_id": [f"sub-{i}" for i in range(n)],
            "session_id": [np.nan] * n,
            "reference": "T1w",
            "hemisphere": rng.choice(["left", "right", "bilateral"], n),
            "lesion_volume_ml": np.exp(rng.normal(2, 1, n)),
            "brain_volume_ml": rng.normal(1400, 50, n),
            "cst_weighted_load_ml_total": rng.uniform(0, 20, n),
            "cst_max_slice_load_total": rng.uniform(0, 1, n),
            "cst_category_status": "unvalidated",
            "sex": rng.choice(["F", "M"], n),
            "age": rng.normal(60, 9, n).round(1).astype(str),
            "id": [f"code $x_{i}" for i in range(n)],
        }
    )


def test_outliers_are_shown_with_a_figure(tmp_path):
    table = cohort_of(20)
    table.loc[4, "brain_volume_ml"] = 500
    figure = tmp_path / "sub-4" / "figures" / "sub-4_desc-brain_T1w.svg"
    figure.parent.mkdir(parents=True)
    figure.write_text('<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" id="seen"/>\n')
    earlier = figure.with_name("sub-4_desc-brain_FLAIR.svg")  # a file of an earlier run
    earlier.write_text(figure.read_text())
    outputs = {"brain_figure": figure.relative_to(tmp_path).as_posix()}
    flags = {"brain_volume": "Check it."}
    Record("sub-4", "identity", "ok", outputs=outputs, flags=flags).write(tmp_path)
    out = group_report(tmp_path, table)
    html = out.read_text(encoding="utf-8")
    card = html.partition('id="outliers"')[2].partition("</section>")[0]
    assert '<span class="status check">check: brain volume</span>' in card
    assert html.count('id="seen"') == 1
    assert re.search(r"Brain volume \(ml\): <b>500</b>", html)
    titles, rows = cells(out)
    stands_out = {row[0]: row[titles.index("Stands out")] for row in rows}
    assert stands_out.pop("sub-4") == "Brain volume" and not any(stands_out.values())
    data = content(out)
    (figure,) = (data["figures"][number] for number in data["pictures"][4])
    assert figure == "*/figures/*_desc-brain_T1w.svg"


def test_flagged_sessions_never_look_done(tmp_path, table):
    """Status, tile, notice and section; the section shows the figure of the check on its contrast."""
    outputs = {}
    for role in ("lesion_figure@T1w", "coreg_figure@FLAIR", "coreg_figure@T2w"):
        kind, contrast = role.split("_figure@")
        figure = tmp_path / f"sub-2/figures/sub-2_ses-1_desc-{kind}_{contrast}.svg"
        figure.parent.mkdir(parents=True, exist_ok=True)
        figure.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" id="{kind}-{contrast}"/>')
        outputs[role] = figure.relative_to(tmp_path).as_posix()
    flags = {"agreement": "The T2w differs <b>.", "trained_range": "/data/sub-2/x is <small>."}
    Record("sub-2_ses-1", "identity", "ok", flags=flags, outputs=outputs).write(tmp_path)
    table["qc_flags"] = [np.nan, np.nan, "agreement+trained_range"]
    table["status"] = "patient"  # a column of participants.tsv
    out = group_report(tmp_path, table)
    titles, rows = cells(out)
    statuses = [row[titles.index("Status")] for row in rows]
    assert statuses == ["check: agreement, trained range", "no lesion found", "done"]
    assert [row[titles.index("Participants status")] for row in rows] == ["patient"] * 3
    html = out.read_text(encoding="utf-8")
    assert tiles(html)["Sessions that failed QC checks"] == "1"
    assert '<a href="#checks">1 session failed QC checks</a>' in html
    section = re.search(r'<section id="checks">.*?</section>', html, re.DOTALL)[0]
    assert "<p>agreement: 1, trained range: 1.</p>" in section
    assert '<span class="status check">check: agreement, trained range</span>' in section
    assert "<p>The T2w differs &lt;b&gt;.</p>" in section
    assert "<p>sub-2/x is &lt;small&gt;.</p>" in section, "without the folders of this machine"
    assert re.findall(r'<svg[^>]*id="(.*?)"', section) == ["coreg-T2w"]
    data = content(out)
    assert data["messages"] == {"0": ["The T2w differs <b>.", "sub-2/x is <small>."]}
    first = data["figures"][data["pictures"][0][0]]
    assert first == "@/figures/*_desc-coreg_T2w.svg", "the figure of the check is rated first"
    table["qc_flags"] = np.nan
    assert 'id="checks"' not in group_report(tmp_path, table).read_text(encoding="utf-8")


def test_masks_without_an_image_have_their_figure_and_volume(tmp_path, table):
    """Their figure is on the template, and the example of a filter names a column that exists."""
    figure = tmp_path / "sub-2/figures/sub-2_ses-1_desc-ownmni_mask.svg"
    figure.parent.mkdir(parents=True)
    figure.write_text('<svg xmlns="http://www.w3.org/2000/svg" id="template"/>')
    outputs = {"ownmni_figure": figure.relative_to(tmp_path).as_posix()}
    flags = {"lesion_outside": "26% of the lesion is outside."}
    Record("sub-2_ses-1", "identity", "ok", flags=flags, outputs=outputs).write(tmp_path)
    table["qc_flags"] = [np.nan, np.nan, "lesion_outside"]
    table = table.rename(columns={"lesion_volume_ml": "lesion_volume_mni_ml"})
    html = group_report(tmp_path, table).read_text(encoding="utf-8")
    section = re.search(r'<section id="checks">.*?</section>', html, re.DOTALL)[0]
    assert re.findall(r'<svg[^>]*id="(.*?)"', section) == ["template"]
    assert re.search(r'placeholder="(.*?)"', html)[1] == "left lesion_volume_mni_ml>50"


def test_columns_of_participants_with_names_of_the_page_are_renamed(tmp_path):
    """They are groups, and do not replace the columns of the page."""
    table = cohort_of(30)
    groups = ["status", "stands_out", "participants_status", "native_or_mni_volume_ml"]
    table = table.assign(**dict.fromkeys(groups, table["sex"]))
    out = group_report(tmp_path, table, groups=groups)
    names = ["participants_participants_status", "participants_stands_out", "participants_status"]
    names.append("participants_native_or_mni_volume_ml")
    columns = {column["name"]: column["group"] for column in content(out)["columns"]}
    assert [name for name, is_group in columns.items() if is_group] == names
    assert not columns["status"] and "stands_out" not in columns
    assert re.findall(r'aria-label="By (.*?)"', out.read_text(encoding="utf-8")) == names


def test_plots_by_grouping_columns(tmp_path):
    table = cohort_of(30)
    groups = ["sex", "age", "id"]
    html = group_report(tmp_path, table, groups=groups).read_text(encoding="utf-8")
    assert re.findall(r'aria-label="(By .*?)"', html) == ["By sex", "By age"]
    for measure in ("CST weighted load (ml)", "CST share of a cross-section"):
        assert html.count(f'aria-label="{measure} against Lesion volume (ml): 30 sessions"') == 1
    assert 'id="plots"' not in group_report(tmp_path, table[["participant_id"]]).read_text()


def test_volumes_of_the_template_are_plotted_where_there_is_no_native_volume(tmp_path):
    """The plot, like its selection by the script, needs one column with all volumes."""
    table = cohort_of(12)
    table["lesion_volume_mni_ml"] = table["lesion_volume_ml"]
    table.loc[:3, "lesion_volume_ml"] = np.nan
    html = group_report(tmp_path, table).read_text(encoding="utf-8")
    assert "Lesion volume (ml): 12 sessions" in html
    assert '"native_or_mni_volume_ml"' in html
    table["lesion_volume_ml"] = np.nan
    html = group_report(tmp_path, table).read_text(encoding="utf-8")
    assert "Lesion volume (ml): 12 sessions" in html and "native_or_mni" not in html


def test_points_of_the_scatter_plot_are_links(tmp_path):
    (tmp_path / "sub-7.html").touch()
    html = group_report(tmp_path, cohort_of(12)).read_text(encoding="utf-8")
    row = [row[0] for row in cells(tmp_path / "group.html")[1]].index("sub-7")
    points = re.findall(r'<a href="(.*?)" data-i="(\d+)">', html)
    assert points == [("sub-7.html", str(row))] * 2, "one in each plot"


def test_rejected_sessions_are_listed(tmp_path, table):
    rejected = [ExcludedSession("sub-9", "", "motion <b>")]
    html = group_report(tmp_path, table, rejected=rejected).read_text(encoding="utf-8")
    assert 'id="rejected"' in html and "motion &lt;b&gt;" in html


def test_ratings_are_summarized_and_part_of_the_data(tmp_path, table):
    path = tmp_path / "ratings.tsv"
    rows = ["2\t2\treject\tmissed_lesion\tanna", "10\t1\taccept\t\tanna", "2\t2\taccept\t\t<b>"]
    path.write_text("\n".join(["participant_id\tsession_id\trating\treasons\trater", *rows]))
    rated = rate_cohort([path], [("sub-2", "ses-1"), ("sub-2", "ses-2"), ("sub-10", "ses-1")])
    out = group_report(tmp_path, table, rated=rated)
    html = out.read_text(encoding="utf-8")
    section = re.search(r'<section id="ratings">.*?</section>', html, re.DOTALL)[0]
    assert "Rated sessions: 2 (1 rejected). Raters: anna (2), &lt;b&gt; (1)." in section
    assert "Cohen&#39;s kappa: 0.00" in section and "0% of the 1 sessions" in section
    assert "Reasons: missed lesion 1." in section
    rows = content(out)["ratings"]
    assert rows[0] == ["sub-2", "ses-2", "reject", "missed_lesion", "", "anna", "", ""]
    assert 'id="ratings"' not in group_report(tmp_path, table).read_text(encoding="utf-8")
