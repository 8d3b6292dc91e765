import json
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from bids_stroke.cli import options, parser, run
from bids_stroke.errors import UsageError
from bids_stroke.settings import DEFAULT_MODEL


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a dataset, as the current folder."""
    (tmp_path / "bids").mkdir()
    description = {"Name": "tested", "BIDSVersion": "1.10.0"}
    (tmp_path / "bids" / "dataset_description.json").write_text(json.dumps(description))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def parse(*options, level="participant"):
    return parser.parse(["bids", "out", level, *options])


def test_defaults(folder):
    settings = parse()
    assert settings.bids_dir == folder / "bids"
    assert settings.output_dir == folder / "out"
    assert settings.work_dir == folder / "out" / "work"
    assert settings.level == "participant"
    assert settings.participant_label == settings.session_label == settings.derivatives == ()
    assert settings.bids_filters == {}
    assert settings.model == DEFAULT_MODEL
    assert settings.output_spaces == ("MNI152NLin2009aSym",)
    assert (settings.brain_extraction, settings.device) == ("hd-bet", "auto")
    assert settings.nprocs >= 1 and settings.mem_mb >= 1 and settings.omp_nthreads is None
    assert settings.bids_database_dir is settings.plugin_file is None
    assert not (settings.dry_run or settings.reports_only or settings.clean_workdir)
    assert settings.verbose == 0


def test_hyphens_and_underscores_are_equivalent(folder):
    (folder / "my_filters.json").write_text('{"t1w": {"run": 1}}')
    options = {
        "--participant-label": ["01", "02"],
        "--session-label": ["a_b"],
        "--bids-filter-file": ["my_filters.json"],
        "--bids-database-dir": ["a_b"],
        "--skip-bids-validation": [],
        "--brain-extraction": ["deepbet"],
        "--normalization": ["enantiomorphic"],
        "--output-spaces": ["MNI152NLin2009aSym", "MNI152NLin6Asym"],
        "--omp-nthreads": ["2"],
        "--mem-mb": ["3000"],
        "--work-dir": ["my_work"],
        "--clean-workdir": [],
        "--stop-on-first-crash": [],
    }
    hyphens = [part for option, values in options.items() for part in (option, *values)]
    underscores = [
        part
        for option, values in options.items()
        for part in ("--" + option[2:].replace("-", "_"), *values)
    ]
    settings = parse(*hyphens)
    assert parse(*underscores) == settings
    assert settings.participant_label == ("01", "02")
    assert settings.session_label == ("a_b",)
    assert settings.bids_filters == {"t1w": {"run": 1}}
    assert settings.normalization == "enantiomorphic"
    assert settings.output_spaces == ("MNI152NLin2009aSym", "MNI152NLin6Asym")
    assert settings.bids_database_dir == folder / "a_b"
    assert settings.work_dir == folder / "my_work"
    assert settings.mem_mb == 3000 and settings.omp_nthreads == 2


def test_values_keep_their_underscores(folder):
    assert parse("--work_dir=my_work").work_dir == folder / "my_work"
    assert parse("--model=my_model", "-w", "a_b").model == "my_model"


def test_relative_folders_of_networks(folder):
    (folder / "net").mkdir()
    settings = parse("--model", "nnunet:net", "--brain-extraction", "nnunet:net?folds=0")
    assert settings.model == f"nnunet:{folder / 'net'}"
    assert settings.brain_extraction == f"nnunet:{folder / 'net'}?folds=0"


def test_labels_with_and_without_prefix(folder):
    settings = parse("--participant-label", "sub-01", "02", "sub-sub", "--session-label", "ses-1", "2")
    assert settings.participant_label == ("01", "02", "sub")
    assert settings.session_label == ("1", "2")


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["bids"],
        ["bids", "out"],
        ["bids", "out", "cohort"],
        ["bids", "out", "participant", "--nprocs", "0"],
        ["bids", "out", "participant", "--nprocs", "two"],
        ["bids", "out", "participant", "--mem-mb", "-5"],
        ["bids", "out", "participant", "--device", "tpu"],
        ["bids", "out", "participant", "--brain-extraction", "bet"],
        ["bids", "out", "participant", "--normalization", "plain"],
        ["bids", "out", "participant", "--unheard-of"],
        ["bids", "out", "participant", "--particip", "01"],  # no abbreviations
        ["bids", "out", "participant", "--participant-label"],
        ["bids", "out", "participant", "--mirror=yes"],
    ],
)
def test_usage_errors_are_one_sentence(folder, argv, capsys):
    assert run.main(argv) == 2
    (message,) = capsys.readouterr().err.splitlines()
    assert message.startswith("bids_stroke: error: ") and message[-1] in ".?"
    assert "_positive" not in message


@pytest.mark.parametrize(
    "text, words",
    [
        ("{", "cannot be read as JSON"),
        ('["t1w"]', "must have the form"),
        ('{"t1w": "mprage"}', "must have the form"),
        ('{"bold": {"task": "rest"}, "t1w": {}}', "unknown keys bold; use t1w, flair, t2w"),
        (None, "does not exist; check --bids-filter-file"),
    ],
)
def test_bad_filter_files(folder, text, words):
    if text is not None:
        (folder / "filters.json").write_text(text)
    with pytest.raises(UsageError, match=words) as caught:
        parse("--bids-filter-file", "filters.json")
    assert "filters.json" in str(caught.value)


def test_settings_are_checked(folder):
    with pytest.raises(UsageError, match="missing"):
        parser.parse(["missing", "out", "participant"])


def test_help_shows_the_defaults(capsys):
    with pytest.raises(SystemExit) as caught:
        parser.parse(["--help"])
    assert caught.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert f"(default: {DEFAULT_MODEL})" in text
    assert "(default: hd-bet)" in text
    assert "(default: None)" not in text and "(default: [])" not in text
    assert "(default: False)" not in text


def test_the_defaults_of_options_and_settings_agree(folder):
    settings = parse()
    for field in fields(settings):
        if field.default is not MISSING and field.name not in ("nprocs", "mem_mb", "command"):
            assert getattr(settings, field.name) == field.default, field.name


def test_the_command_line_can_be_repeated(folder):
    settings = parse("--bids-database-dir", "a b")
    assert settings.command == "bids_stroke bids out participant --bids-database-dir 'a b'"
    assert parser.parse(shlex.split(settings.command)[1:]) == settings


def test_masks_tracts_and_atlases(folder, monkeypatch):
    (folder / "masks").mkdir()
    monkeypatch.chdir(folder)
    options = "--tract juelich-cst x.nii.gz y.yaml --cutoffs 2 5 --atlas a.nii.gz --atlas-labels a.tsv"
    settings = parse("--lesion-derivatives", str(folder / "masks"), *options.split())
    assert settings.lesion_derivatives == folder / "masks"
    files = (str(folder / name) for name in ("x.nii.gz", "y.yaml"))
    assert settings.tracts == ("juelich-cst", *files) and settings.cutoffs_ml == (2.0, 5.0)
    ((atlas, table),) = settings.atlases
    assert (atlas.name, table.name) == ("a.nii.gz", "a.tsv")
    assert atlas.is_absolute() and table.is_absolute()


def test_atlas_cards_need_no_table(folder, monkeypatch):
    monkeypatch.chdir(folder)
    options = ("--atlas", "a.nii", "arterial-territories", "b.nii", "--atlas-labels", "a.tsv", "b.tsv")
    first, (image, card), last = parse(*options).atlases
    assert first == (folder / "a.nii", folder / "a.tsv") and last[1].name == "b.tsv"
    assert card.name == "arterial-territories.yaml" and "_space-MNI152NLin6Asym_" in image.name


@pytest.mark.parametrize(
    "options, words",
    [
        (["--atlas", "a.nii.gz"], "one table for each atlas"),
        (["--atlas", "arterial-territories", "--atlas-labels", "a.tsv"], "has 0 files and"),
        (["--atlas", "arteries"], "Unknown atlas arteries; use a NIfTI file with --atlas-labels, an"),
        (["--cutoffs", "5", "2"], "the lower first"),
        (["--cutoffs", "0", "2"], "give two positive values"),
    ],
)
def test_invalid_atlases_and_cutoffs(folder, options, words):
    with pytest.raises(UsageError, match=words):
        parse(*options)


def test_missing_lesion_derivatives(folder):
    with pytest.raises(UsageError, match="--lesion-derivatives"):
        parse("--lesion-derivatives", str(folder / "missing"))


def test_the_tables_of_options_in_the_docs(tmp_path):
    docs = Path(__file__).parents[2] / "docs"
    page = Path(shutil.copy(docs / "usage.md", tmp_path))
    subprocess.run([sys.executable, docs / "options.py", page], check=True)
    assert page.read_text() == (docs / "usage.md").read_text()


@pytest.mark.parametrize("argument", ["--help", "--unknown", "missing.md"])
def test_the_tables_of_options_are_written_only_to_a_page(tmp_path, argument):
    script = Path(__file__).parents[2] / "docs" / "options.py"
    page = (script.parent / "usage.md").stat().st_mtime_ns
    done = subprocess.run([sys.executable, script, argument], cwd=tmp_path, capture_output=True)
    assert done.returncode == (0 if argument == "--help" else 2)
    assert not list(tmp_path.iterdir()) and (script.parent / "usage.md").stat().st_mtime_ns == page


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        ("--nthreads 3", "nprocs", 3),
        ("--n-cpus 3", "nprocs", 3),
        ("--n_cpus=3", "nprocs", 3),
        ("--mem 9000", "mem_mb", 9000),
        ("--mem_mb 9000", "mem_mb", 9000),
        ("--mem 16G", "mem_mb", 16_000),
        ("--mem-mb 16GB", "mem_mb", 16_000),
        ("--mem 1t", "mem_mb", 1_000_000),
        ("--mem 9000M", "mem_mb", 9000),
        ("--mem 8", None, "--mem-mb/--mem: 8 is less than 1 GB; the unit is MB, as in 16000 or 16G"),
        ("--mem 1.5G", None, "--mem-mb/--mem: 1.5G is not a size in MB, such as 16000 or 16G"),
    ],
)
def test_spellings_of_fmriprep(folder, words, field, value):
    if field:
        assert getattr(parse(*words.split()), field) == value
        return
    with pytest.raises(UsageError, match=value):
        parse(*words.split())


@pytest.mark.parametrize("option", ["--use-plugin", "--nipype-plugin-file", "--plugin-file"])
def test_spellings_of_the_plugin_file(folder, option):
    (folder / "plugin.yml").touch()
    assert parse(option, "plugin.yml").plugin_file == folder / "plugin.yml"


def test_the_help_shows_all_spellings():
    text = options.build().format_help()
    for names in (["--nprocs", "--nthreads", "--n-cpus"], ["--mem-mb", "--mem"], ["--use-plugin"]):
        assert all(re.search(rf"^  .*{name}\b", text, re.M) for name in names)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--notrack", "--notrack has no effect, because bids_stroke sends no data about its use."),
        ("--md-only-boilerplate", "--md-only-boilerplate has no effect, because the methods "),
        ("--output-spaces T1w MNI152NLin2009aSym", "--output-spaces T1w has no effect, because "),
        ("--output-spaces flair native anat", "--output-spaces flair, native, anat has no effect"),
        ("--output-spaces T2w trace", "--output-spaces T2w, trace has no effect"),
        ("--output-spaces T1w:res-native", "--output-spaces T1w:res-native has no effect"),
    ],
)
def test_options_that_only_other_programs_need(folder, words, message):
    """They change nothing, and a sentence states why."""
    assert parse(*words.split()) == parse()
    (notice,) = parser.notices(parser.read(["bids", "out", "participant", *words.split()]))
    assert notice.startswith(message)


def test_native_spaces_are_removed_from_others(folder):
    settings = parse("--output-spaces", "T1w", "MNI152NLin6Asym", "T2w")
    assert settings.output_spaces == ("MNI152NLin6Asym",)
    assert not list(parser.notices(parser.read(["bids", "out", "participant"])))


@pytest.mark.parametrize("installed", [True, False])
def test_graphs_without_graphviz(folder, monkeypatch, installed):
    monkeypatch.setenv("PATH", str(folder))
    if installed:
        (folder / "dot").touch(mode=0o755)
    sentences = list(parser.notices(parser.read(["bids", "out", "participant", "--write-graph"])))
    assert [text[:40] for text in sentences] == ["--write-graph writes only .dot files, be"] * (
        not installed
    )
    assert parse("--write-graph").write_graph
