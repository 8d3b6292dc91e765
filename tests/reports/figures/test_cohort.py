"""Plots of the group table: axes, bars, medians and points."""

import json
import re
from html import unescape

import numpy as np
import pandas as pd
import pytest

from bids_stroke.reports.figures import cohort, scales
from bids_stroke.reports.figures.cohort import Measure

VOLUME = Measure("lesion_volume_ml", "Lesion volume (ml)")
LOAD = Measure("cst_weighted_load_ml_total", "CST weighted load (ml)")


@pytest.fixture
def table():
    return pd.DataFrame(
        {
            "participant_id": [f"sub-{i}" for i in range(8)],
            "hemisphere": ["left", "right", "bilateral", None, "left", "left", "<b>", None],
            "qc_flags": [None, "agreement", *[None] * 6],
            "lesion_volume_ml": [0.05, 5.0, 30.0, 0.0, 120.0, 5.0, 5.0, np.nan],
            "cst_weighted_load_ml_total": [0.0, 1.0, 2.0, 0.0, 3.0, 0.2, 0.3, 0.4],
            "age": ["31", "42", "53", "64", "75", "86", "97", "n/a"],
            "site": ["A", "A", "A", "A", "B<", "B<", "B<", "B<"],
        }
    )


def texts(svg):
    return [unescape(text) for text in re.findall(r"<text[^>]*>(.*?)</text>", svg)]


def test_zero_has_its_own_place_and_ticks_are_plain(table):
    scale = VOLUME.scale(table)
    assert [label for _, label in scale.ticks] == ["none", "0.01", "0.1", "1", "10", "100"]
    none, lowest, *_ = scale.position([0, 0.01, 0.05])
    assert none == scales.NONE < lowest == scales.START
    positions = [position for position, _ in scale.ticks]
    assert positions == sorted(positions) and scale.position(120) < 1
    without_zeros = VOLUME.scale(table[table["lesion_volume_ml"] > 1])
    assert [label for _, label in without_zeros.ticks] == ["0.1", "1", "10", "100"]
    assert without_zeros.start == 0


def test_volumes_below_the_axis_are_drawn_at_its_end(table):
    table["lesion_volume_ml"] = [0.002, *[1.0] * 7]
    scale = VOLUME.scale(table)
    assert scale.ticks[0] == (0, "≤ 0.01") and scale.position(0.002) == 0


def test_counts_have_integer_ticks():
    for maximum in (0, 1, 3, 17, 250):
        labels = [float(label) for _, label in scales.count_scale("sessions", maximum).ticks]
        assert labels[0] == 0 and labels == [int(label) for label in labels]
        assert len(labels) <= 7 and labels[-1] <= max(1.05 * maximum, 1)


def test_histograms_have_a_bar_for_zero_and_one_labeled_median(table):
    svg = cohort.distributions(table, [VOLUME])
    assert svg.count("<svg") == 1
    assert "7 sessions, 1 of them with none; median of the others 5" in svg
    assert texts(svg).count("median 5") == 1 == svg.count('path class="median"')
    bins = json.loads(unescape(re.search('data-bins="(.*?)"', svg)[1]))
    first, second = bins["edges"][:2]
    assert first[0] < scales.NONE < first[1] < second[0] == scales.START and bins["edges"][-1][1] == 1
    bars = re.findall("M.*?z", re.search('class="bars" d="(.*?)"', svg)[1])
    assert len(bars) == 5, "0, 0.05, 5, 30 and 120 ml"


def test_an_empty_or_constant_measure_is_drawn(table):
    for values in (np.nan, 0.0, 5.0):
        table["lesion_volume_ml"] = values
        svg = cohort.distributions(table, [VOLUME]) + cohort.groups(table, "age", [VOLUME])
        assert "nan" not in svg


def test_points_are_rows_of_the_page_with_shape_check_and_link(table):
    svg = cohort.load_against_volume(table, VOLUME, LOAD, {"sub-1": "sub-1.html"})
    assert "7 sessions" in svg
    rows = re.findall(r'data-i="(\d+)"', svg)
    assert rows == ["0", "1", "2", "3", "4", "5", "6"], "without the session without volume"
    (link,) = re.findall("<a .*?</a>", svg)
    assert link.startswith('<a href="sub-1.html" data-i="1"><path class="right check"')
    assert svg.count("check") == 1
    assert re.search('<rect data-i="2" class="bilateral"', svg)
    assert re.search('<circle data-i="6" cx', svg), "an unexpected hemisphere has no class"


def test_axes_are_described_for_the_script(table):
    svg = cohort.load_against_volume(table, VOLUME, LOAD, {})
    x, y = (json.loads(unescape(re.search(f'data-{name}="(.*?)"', svg)[1])) for name in "xy")
    assert (x["column"], y["column"]) == (VOLUME.column, LOAD.column)
    assert x["log"] and x["low"] == 0.01 and x["high"] == pytest.approx(132)
    assert x["start"] == scales.START and x["none"] == scales.NONE


def test_boxes_show_the_median_of_the_lesions_of_each_level(table):
    svg = cohort.groups(table, "site", [VOLUME])
    assert {"A (4)", "B< (3)", "site"} <= set(texts(svg))
    assert svg.count('class="box"') == 2
    medians = re.findall(r'<text[^>]*class="median">(.*?)<', svg)
    assert medians == ["5", "5"], "without the session without a lesion"
    assert len(re.findall("data-i=", svg)) == 7


def test_numbers_are_drawn_as_scatter_plots_and_identifiers_not_at_all(table):
    svg = cohort.groups(table.iloc[:7], "age", [VOLUME, LOAD])
    assert svg.count("<svg") == 2 and svg.count("data-i=") == 14
    assert {"40", "60", "80", "age"} <= set(texts(svg))
    many = pd.concat([table] * 30, ignore_index=True).assign(code=[f"c{i}" for i in range(240)])
    assert cohort.groups(many, "code", [VOLUME]) is None


@pytest.mark.parametrize("extremes", [["inf"], ["1e308", "-1e308"]])
def test_a_number_that_no_axis_can_show_is_a_category(table, extremes):
    many = pd.concat([table] * 3, ignore_index=True)
    ages = [*extremes, *map(str, range(24 - len(extremes)))]
    assert cohort.groups(many.assign(age=ages), "age", [VOLUME]) is None, "too many categories"
    assert extremes[0] in cohort.groups(
        many.assign(age=extremes[:1] * 12 + ["1"] * 12), "age", [VOLUME]
    )
