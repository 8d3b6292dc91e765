"""Output of the command before sessions start: plans, errors and exit status."""

import json
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points

import nibabel as nib
import numpy as np
import pytest
import yaml

from bids_stroke import __version__
from bids_stroke.bids import index
from bids_stroke.bids.record import Record
from bids_stroke.cli import given, levels, options
from bids_stroke.cli.run import main
from bids_stroke.compute import devices
from bids_stroke.settings import LEVELS

CARD = {
    "name": "tested",
    "network": {"family": "unet3d", "arguments": {}},
    "channels": [{"contrast": "T1w"}, {"contrast": "T2w", "required": False}],
    "space": "native",
    "spacing": [2, 2, 2],
    "tile": [32, 32, 32],
    "normalization": "zscore",
    "threshold": 0.5,
    "min_component_mm3": 10,
    "weights": {"file": "missing.safetensors", "sha256": "0" * 64, "bytes": 1, "licence": "CC0"},
    "trained_on": "nothing",
    "measured": [],
    "notes": [],
    "citation": "none",
}


@pytest.fixture
def folder(tmp_path):
    """A dataset of two participants, one without T1w, and a model card."""
    for name in ("sub-01_T1w", "sub-01_run-1_FLAIR", "sub-01_run-2_FLAIR", "sub-02_FLAIR"):
        path = tmp_path / "bids" / name[:6] / "anat" / f"{name}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.eye(4)), path)
    description = {"Name": "tested", "BIDSVersion": "1.10.0"}
    (tmp_path / "bids" / "dataset_description.json").write_text(json.dumps(description))
    (tmp_path / "card.yaml").write_text(yaml.safe_dump(CARD))
    return tmp_path


def run(folder, *options, bids="bids", out="out", level="participant"):
    model = [] if "--model" in options or level == "group" else ["--model", str(folder / "card.yaml")]
    return main([str(folder / bids), str(folder / out), level, *model, *options])


def error_message(capsys):
    """Return the only line on standard error."""
    shown = capsys.readouterr()
    assert shown.out == ""
    lines = shown.err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("bids_stroke: error: "), shown.err
    return lines[0]


def below(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_no_dataset(folder, capsys):
    assert run(folder, bids="missing") == 2
    assert "missing does not exist or is not a folder" in error_message(capsys)


def test_not_a_bids_dataset(folder, capsys):
    (folder / "bids" / "dataset_description.json").unlink()
    assert run(folder) == 1
    assert "--skip-bids-validation" in error_message(capsys)


def test_missing_template(folder, capsys, monkeypatch):
    """Reported before the run starts: the output folder is not created."""
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(folder / "templates"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # no server listens on this port
    assert run(folder, "--output-spaces", "MNI152NLin6Asym") == 1
    shown = capsys.readouterr().err
    message = shown.splitlines()[-1]  # TemplateFlow prints what it downloads
    assert message.startswith("bids_stroke: error: The template space MNI152NLin6Asym needs ")
    assert "res-01_T1w.nii.gz" in message and "Traceback" not in shown
    assert not (folder / "out").exists()


def test_unknown_model(folder, capsys):
    assert run(folder, "--model", "unheard-of") == 2
    assert "Model unheard-of was not found" in error_message(capsys)


def test_damaged_card(folder, capsys):
    (folder / "card.yaml").write_text("name: [")
    assert run(folder) == 2
    assert "card.yaml is not a complete model card" in error_message(capsys)


def test_unknown_participant(folder, capsys):
    assert run(folder, "--participant-label", "sub-07") == 2
    assert "no participant 07; it has 01, 02" in error_message(capsys)


def test_unknown_session(folder, capsys):
    assert run(folder, "--session-label", "x") == 2
    assert "no session x" in error_message(capsys)


def test_output_that_cannot_be_written(folder, capsys):
    (folder / "file").touch()
    assert run(folder, out="file/out") == 1
    assert "file/out cannot be written" in error_message(capsys)


def test_misspelt_filter(folder, capsys):
    (folder / "filters.json").write_text('{"t1w": {"acquisitionn": "x"}}')
    assert run(folder, "--bids-filter-file", str(folder / "filters.json")) == 2
    assert "'acquisitionn' is not a recognized entity" in error_message(capsys)


def test_a_bad_plugin_file(folder, capsys):
    (folder / "plugin.yml").write_text("plugin: [")
    assert run(folder, "--plugin-file", str(folder / "plugin.yml")) == 2
    assert "plugin.yml cannot be read as YAML" in error_message(capsys)
    assert not (folder / "out").exists()


@pytest.mark.parametrize("level", LEVELS)
def test_reports_of_an_unknown_participant(folder, level, capsys):
    Record("sub-01", "x", "failed").write(folder / "out")
    assert run(folder, "--reports-only", "--participant-label", "07", level=level) == 2
    assert "out has no participant 07; check --participant-label." in error_message(capsys)


def test_reports_without_sessions(folder, capsys):
    assert run(folder, "--reports-only") == 1
    assert "contains no record of a session; run without --reports-only" in error_message(capsys)


#: Options with values that cannot be used, and words of their errors.
WRONG = {
    "--model nonesuch": "Model nonesuch was not found",
    "--model nnunet:nowhere": "is not an nnU-Net results folder",
    "--brain-extraction nnunet:nowhere": "is not an nnU-Net results folder",
    "--tract nonesuch": "Unknown tract nonesuch; use a NIfTI file",
    "--tract nonesuch.yaml": "Unknown tract ",
    "--tract a_space-MNI152NLin6Asym.nii.gz": "does not exist; check --tract.",
    "--tract a.nii.gz": "a.nii.gz has no space- in its name; add the template space",
    "--atlas a_space-MNI152NLin6Asym.nii.gz --atlas-labels a.tsv": "does not exist; check --atlas.",
    "--output-spaces Nonesuch": "TemplateFlow has no T1w template with a brain mask for the space Non",
    "--device cuda": "--device cuda needs a GPU, but torch found none; use --device cpu or auto.",
}


@pytest.mark.parametrize("option", WRONG)
def test_a_wrong_option_is_reported_before_the_dataset_is_indexed(folder, option, capsys, monkeypatch):
    """The index would raise another error: it belongs to another dataset."""
    if option == "--device cuda" and devices.resolve("auto") == "cuda":
        pytest.skip("there is a GPU")
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(folder / "templates"))
    monkeypatch.chdir(folder)
    (folder / "other").mkdir()
    index.write(folder / "other", folder / "index")
    database = ("--bids-database-dir", str(folder / "index"))
    assert run(folder, *database) == 2
    assert "is the index of" in error_message(capsys)
    assert run(folder, *database, *option.split()) == 2
    shown = capsys.readouterr().err
    assert WRONG[option] in shown.splitlines()[-1] and "is the index of" not in shown
    assert not (folder / "out").exists()


@pytest.mark.parametrize("option", ["--atlas", "--tract"])
def test_a_map_that_is_no_image(folder, option, capsys):
    path = folder / "x_space-MNI152NLin2009aSym.nii"
    path.touch()
    labels = ("--atlas-labels", "x.tsv") if option == "--atlas" else ()
    assert run(folder, option, str(path), *labels) == 1
    assert f"{path} cannot be read as an image (" in error_message(capsys)


#: Values that no run accepts, by option.
WRONG_VALUES = {
    **dict.fromkeys(("--derivatives", "--lesion-derivatives", "--corrections"), "nowhere"),
    "--ground-truth": "nowhere",
    **dict.fromkeys(("--plugin-file", "--qc-ratings", "--phenotype"), "nowhere"),
    **dict.fromkeys(("--bids-filter-file", "--config-file"), "nowhere"),
    **dict.fromkeys(("--nprocs", "--omp-nthreads", "--mem-mb", "--min-overlap", "--permutations"), "0"),
    **dict.fromkeys(("--brain-extraction", "--normalization", "--assume-orientation"), "other"),
    **dict.fromkeys(("--device", "--worse", "--flip-to"), "other"),
    "--bids-database-dir": "card.yaml",
    "--cutoffs": "1 x",
    "--atlas-labels": "nowhere",
    "--participant-label": "07",
    "--session-label": "x",
}
#: Options with values whose errors depend on the cohort (tests/faults) or are tested above.
OTHER_VALUES = {
    *("--model", "--tract", "--atlas", "--output-spaces", "--work-dir"),
    *("--group-by", "--outcome", "--covariates"),
}


def test_every_option_with_a_value_has_a_wrong_value():
    actions = given.named_actions(options.build()).values()
    with_values = {given.name_of(action) for action in actions if action.nargs != 0}
    assert with_values == {*WRONG_VALUES, *OTHER_VALUES}


@pytest.mark.parametrize("option", WRONG_VALUES)
def test_a_wrong_value_is_a_usage_error(folder, option, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    level = levels.OPTIONS[option][0]
    words = [*WRONG_VALUES[option].split(), *(("--outcome", "nihss") if level == "group" else ())]
    model = () if "lesion" in option or level == "group" else ("--model", "card.yaml")
    assert main(["bids", "out", level, *model, option, *words]) == 2
    line = error_message(capsys)
    assert words[0] in line or option in line
    assert not (folder / "out").exists()


def test_an_unknown_tract_at_the_group_level(folder, capsys):
    """It is reported before the derivatives are read, which contain no session."""
    assert run(folder, "--tract", "nonesuch", level="group") == 2
    assert "Unknown tract nonesuch" in error_message(capsys)


def test_group_level_without_sessions(folder, capsys):
    assert run(folder, level="group") == 1
    assert "contains no complete session" in error_message(capsys)


def test_errors_write_no_files(folder, capsys):
    before = below(folder)
    for words in (("--participant-label", "07"), ("--model", "unheard-of")):
        run(folder, *words)
    run(folder, level="group")
    assert below(folder) == before


def test_dry_run_shows_reasons_and_writes_nothing(folder, capsys):
    before = below(folder)
    assert run(folder, "--dry-run") == 1, "sub-02 would be refused"
    shown = capsys.readouterr().out
    assert "sub-01: would run on T1w sub-01_T1w.nii.gz, FLAIR sub-01_run-2_FLAIR.nii.gz" in shown
    assert "T1w is the reference" in shown
    assert "sub-01_run-2_FLAIR.nii.gz was chosen from 2 FLAIR images" in shown
    assert "sub-02: refused: sub-02 has FLAIR but no T1w" in shown
    assert below(folder) == before


def test_refused_sessions_are_failures(folder, capsys):
    assert run(folder, "--participant-label", "02") == 1
    shown = capsys.readouterr()
    assert "refused" in shown.out and "sub-02" in shown.out
    assert "Traceback" not in shown.err
    options = folder / "out/logs/sub-02_run.toml"
    assert tomllib.loads(options.read_text())["options"]["participant_label"] == ["02"]
    log = (folder / "out/logs/sub-02_run.log").read_text()
    assert "sub-02: refused: sub-02 has FLAIR but no T1w" in log


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_import_nothing_heavy(option):
    code = (
        "import sys\n"
        "from bids_stroke.cli.run import main\n"
        f"try: main(['{option}'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'torch', 'nibabel', 'nipype', 'numpy', 'pandas', 'bids', 'ants', 'rich'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    if option == "--version":
        assert done.stdout == f"bids_stroke {__version__}\n"


def test_the_console_command_is_main():
    (entry,) = entry_points(group="console_scripts", name="bids_stroke")
    assert entry.load() is main
