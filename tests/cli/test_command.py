"""Errors and exit status that all commands share."""

import subprocess
import sys

import pytest

from bids_stroke.cli import check, evaluate, models, simulate, slurm, tracts, train
from bids_stroke.cli import run as app

#: A command line of each command with a misspelt option, and the option that is meant.
MISSPELT = {
    app: (["bids", "out", "participant", "--particpant-label", "01"], "--participant-label"),
    evaluate: (["predicted", "true", "out", "--participant", "a.tsv"], "--participants"),
    train: (["s1", "bids", "out", "--label", "masks"], "--labels"),
    models: (["fetch", "simstroke", "--accept-licence"], "--accept-license"),
    tracts: (["fetch", "xtract-cst", "--accept"], "--accept-license"),
    simulate: (["out", "--participant", "3"], "--participants"),
    slurm: (["bids", "out", "-output-spaces", "MNI152NLin6Asym"], "--output-spaces"),
    check: (["--helpp"], "--help"),
}


@pytest.mark.parametrize("command", MISSPELT, ids=lambda command: command.__name__)
def test_the_error_of_an_unknown_option_suggests_one(command, capsys):
    words, meant = MISSPELT[command]
    assert command.main(words) == 2
    shown = capsys.readouterr()
    (line,) = shown.err.splitlines()
    (unknown,) = set(words) & {line.split()[2]}
    assert line.endswith(f": error: {unknown} is not an option; did you mean {meant}?")
    assert shown.out == ""


def test_an_unknown_option_is_reported_before_the_words_after_it(capsys):
    """Its value would otherwise be read as the dataset."""
    assert app.main(["--particip", "01", "bids", "out", "participant"]) == 2
    message = "--particip is not an option; did you mean --participant-label?"
    assert capsys.readouterr().err == f"bids_stroke: error: {message}\n"


@pytest.mark.parametrize("option", ["-work-dir", "-work-dir=x", "-work_dir", "-verbose", "-help"])
def test_a_long_option_needs_two_hyphens(option, capsys):
    """argparse would read -work-dir=x as the option -w with the value ork-dir=x."""
    assert app.main(["bids", "out", "participant", option]) == 2
    name = option.partition("=")[0]
    message = f"{name} is not an option; did you mean -{name.replace('_', '-')}?"
    assert capsys.readouterr().err == f"bids_stroke: error: {message}\n"


@pytest.mark.parametrize(
    ("option", "meant"),
    [
        ("--atl", "--atlas or --atlas-labels"),
        ("--out", "--output-spaces or --outcome"),
        ("--m", "--model or --mirror or --min-overlap"),
        ("--mem-gb", "--mem-mb"),
        ("--use-plugins", "--use-plugin"),
        ("--nthread", "--nthreads"),
    ],
)
def test_suggestions(option, meant, capsys):
    assert app.main(["bids", "out", "participant", option, "1"]) == 2
    message = f"{option} is not an option; did you mean {meant}?"
    assert capsys.readouterr().err == f"bids_stroke: error: {message}\n"


@pytest.mark.parametrize("option", ["--fs-license-file", "--force", "--task", "--overwrite", "--gpu"])
def test_options_of_other_programs_have_no_suggestion(option, capsys):
    assert app.main(["bids", "out", "participant", option, "1"]) == 2
    message = f"{option} is not an option; see bids_stroke --help."
    assert capsys.readouterr().err == f"bids_stroke: error: {message}\n"


@pytest.mark.parametrize(
    ("command", "words", "message"),
    [
        (models, ["--helpp"], "--helpp is not an option; did you mean --help?"),
        (models, ["lists"], "COMMAND cannot be lists; use one of list, show, fetch, "),
        (models, [], "the following arguments are required: COMMAND; see bids_stroke-models --help."),
        (models, ["show"], "are required: MODEL; see bids_stroke-models show --help."),
        (evaluate, ["a", "b", "c", "--nprocs", "x"], "--nprocs: x is not a positive integer; see "),
        (app, ["a", "b", "cohort"], "analysis_level cannot be cohort; use one of participant, group."),
        (app, ["a", "b", "participant", "--device", "tpu"], "use one of auto, cpu, cuda."),
        (app, ["a", "b", "participant", "-x"], "-x is not an option; see bids_stroke --help."),
    ],
)
def test_errors_are_one_sentence_without_the_usage(command, words, message, capsys):
    assert command.main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line and ": error: " in line


def test_values_may_look_like_options(capsys):
    """Negative numbers, words with spaces, and words after two hyphens are no options."""
    words = ["a", "b", "--sbatch", "--partition=a_b --account=c_d", "--cutoffs", "-1", "2"]
    arguments = slurm.parser().parse_args(words)
    assert arguments.sbatch == ["--partition=a_b", "--account=c_d"]
    assert arguments.cutoffs_ml == [-1, 2]
    assert slurm.parser().parse_args(["a", "--", "--b_c"]).output_dir.name == "--b_c"
    assert slurm.parser().parse_args(["a", "b", "-wwork"]).work_dir.name == "work"


@pytest.mark.parametrize("words", [["models", "show", "simstroke"], ["evaluate", "--help"]])
def test_a_reader_that_exits_is_no_error(words):
    """As in ``bids_stroke-models show simstroke | head -1``, with nothing read at all."""
    command = f"{sys.executable} -m bids_stroke.cli.{' '.join(words)} | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.stderr == "" and done.returncode in (0, 1)


def test_errors_of_the_system_are_one_sentence(tmp_path, capsys):
    (tmp_path / "file").touch()
    folder = tmp_path / "masks"
    folder.mkdir()
    (folder / "a.nii.gz").touch()
    assert evaluate.main([str(folder), str(folder), str(tmp_path / "file" / "out")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("bids_stroke-evaluate: error: ") and "Not a directory" in line
