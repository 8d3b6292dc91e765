"""Analysis levels of each option, and errors for options of other levels."""

import json

import pytest

from bids_stroke.cli import given, levels, options, parser
from bids_stroke.errors import UsageError
from bids_stroke.settings import LEVELS

#: Values of the options.
VALUES = {
    "--participant-label": ["01"],
    "--session-label": ["1"],
    "--bids-filter-file": ["filters.json"],
    "--bids-database-dir": ["index"],
    "--derivatives": ["masks"],
    "--lesion-derivatives": ["masks"],
    "--corrections": ["masks"],
    "--assume-orientation": ["RAS"],
    "--model": ["simstroke"],  # the default, given explicitly
    "--brain-extraction": ["none"],
    "--normalization": ["masked"],
    "--output-spaces": ["MNI152NLin6Asym"],
    "--tract": ["juelich-cst"],
    "--cutoffs": ["1", "2"],
    "--atlas": ["a.nii.gz", "--atlas-labels", "a.tsv"],
    "--atlas-labels": ["a.tsv", "--atlas", "a.nii.gz"],
    "--device": ["cpu"],
    "--group-by": ["sex"],
    "--ground-truth": ["masks"],
    "--qc-ratings": ["ratings.tsv"],
    "--outcome": ["nihss"],
    "--covariates": ["age", "--outcome", "nihss"],
    "--phenotype": ["phenotype.tsv", "--outcome", "nihss"],
    "--worse": ["higher", "--outcome", "nihss"],
    "--flip-to": ["left", "--outcome", "nihss"],
    "--min-overlap": ["5", "--outcome", "nihss"],
    "--permutations": ["100", "--outcome", "nihss"],
    "--tfce": ["--outcome", "nihss"],
    "--nprocs": ["1"],
    "--omp-nthreads": ["1"],
    "--mem-mb": ["4000"],
    "--plugin-file": ["plugin.yml"],
    "--work-dir": ["work"],
    "--config-file": ["options.toml"],
}


def long_names():
    return list(map(given.name_of, given.named_actions(options.build()).values()))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("bids", "masks"):
        (tmp_path / name).mkdir()
    description = {"Name": "tested", "BIDSVersion": "1.10.0"}
    (tmp_path / "bids/dataset_description.json").write_text(json.dumps(description))
    (tmp_path / "filters.json").write_text("{}")
    (tmp_path / "plugin.yml").write_text("plugin: Linear")
    (tmp_path / "ratings.tsv").touch()
    (tmp_path / "options.toml").touch()
    (tmp_path / "phenotype.tsv").write_text("participant_id\tnihss\n")
    return tmp_path


def test_every_option_has_its_levels():
    actions = options.build()._actions
    named = {given.name_of(action) for action in actions if action.option_strings}
    assert set(levels.OPTIONS) == named - {"--help", "--print-completion", "--version"}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("option", long_names())
def test_an_option_of_another_level_is_a_usage_error(folder, option, level):
    words = ["bids", "out", level, option, *VALUES.get(option, [])]
    if level in levels.OPTIONS[option]:
        parser.parse(words)
        return
    with pytest.raises(UsageError, match="is an option of the") as caught:
        parser.parse(words)
    assert option in str(caught.value) or "--atlas" in words or "--outcome" in words


@pytest.mark.parametrize("spelling", ["--group_by=sex", "--group_by", "-v", "-vv", "--work_dir=x"])
def test_spellings(folder, spelling):
    level = "group" if "work" not in spelling and "-v" in spelling else "participant"
    words = [spelling] + ["sex"] * (spelling == "--group_by")
    if "work" in spelling:
        parser.parse(["bids", "out", level, *words])
        return
    with pytest.raises(UsageError, match="is an option of"):
        parser.parse(["bids", "out", level, *words])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--lesion-derivatives", "masks", "--model", "simstroke"], "--model has no effect with --l"),
        (["--lesion-derivatives", "masks", "--mirror"], "--mirror has no effect"),
        (["--reports-only", "--dry-run"], "--dry-run has no effect"),
        (["--reports-only", "--session-label", "1"], "--session-label has no effect"),
    ],
)
def test_an_option_without_effect_is_a_usage_error(folder, words, message):
    with pytest.raises(UsageError, match=message):
        parser.parse(["bids", "out", "participant", *words])


@pytest.mark.parametrize("option", levels.OUTCOME_OPTIONS)
def test_options_of_outcomes_need_an_outcome(folder, option):
    words = [word for word in VALUES.get(option, []) if word not in ("--outcome", "nihss")]
    with pytest.raises(UsageError, match=f"{option} has no effect without --outcome"):
        parser.parse(["bids", "out", "group", option, *words])


def test_session_label_with_reports_only_at_the_group_level(folder):
    parser.parse(["bids", "out", "group", "--reports-only", "--session-label", "1"])


@pytest.mark.parametrize(
    ("level", "selected"),
    [
        (
            "participant",
            "--model=-x --verbose --verbose --work-dir y --participant-label 01 02 --cutoffs 1.0 2.0 "
            "--bids-filter-file z",
        ),
        ("group", "--work-dir y --participant-label 01 02 --group-by sex --qc-ratings r"),
    ],
)
def test_options_of_a_level(level, selected):
    words = (
        "bids out group --model=-x -vv -w y --participant-label sub-01 02 --group-by sex --cutoffs 1 2 "
        "--bids_filter_file=z --qc_ratings=r"
    )
    values = given.read_given(words.split(), options.build())
    assert " ".join(given.to_words(values, options.build(), [level])) == selected
