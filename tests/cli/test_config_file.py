"""Options of a run as a file that a run writes and another run reads."""

import json
import tomllib
from dataclasses import replace
from datetime import datetime

import pytest

from bids_stroke import __version__
from bids_stroke.cli import config_file, parser
from bids_stroke.errors import UsageError
from bids_stroke.settings import LEVELS

#: Options of a level, with values of every type.
OPTIONS = {
    "participant": [
        *("--participant-label", "01", "02", "--bids-filter-file", 'fil "ters".json', "--mirror"),
        *("--cutoffs", "1", "2.5", "--nthreads", "3", "--mem", "16G", "-vv", "--model", "card.yaml"),
        *("--tract", "juelich-cst", "x_space-MNI152NLin6Asym.nii.gz", "--normalization", "masked"),
        *("--atlas", "a_space-MNI152NLin6Asym.nii", "--atlas-labels", "a.tsv", "-w", "Ü ber\\work"),
    ],
    "group": ["--group-by", "sex\x7f", "--outcome", "nihss", "--permutations", "50", "--tfce"],
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a dataset, as the current folder."""
    (tmp_path / "bids").mkdir()
    description = {"Name": "tested", "BIDSVersion": "1.10.0"}
    (tmp_path / "bids" / "dataset_description.json").write_text(json.dumps(description))
    (tmp_path / 'fil "ters".json').write_text("{}")
    (tmp_path / "card.yaml").touch()
    (tmp_path / "masks").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def parse(*words, level="participant"):
    return parser.parse(["bids", "out", level, *words])


def write(*words, level="participant"):
    """Write the options of a command line; return the path."""
    words = ["bids", "out", level, *words]
    values = parser.read(words)
    return config_file.write(parser.make_settings(values), parser.absolute(values))


@pytest.mark.parametrize("level", LEVELS)
def test_the_written_options_give_the_same_settings(folder, level, monkeypatch):
    """In another current folder, too."""
    path = write(*OPTIONS[level], level=level)
    settings = parse(*OPTIONS[level], level=level)
    (folder / "other").mkdir()
    monkeypatch.chdir(folder / "other")
    words = [str(folder / "bids"), str(folder / "out"), level, "--config-file", str(path)]
    assert parser.parse(words) == replace(settings, config_file=path)


def test_the_file_describes_the_run(folder):
    before = datetime.now().astimezone().replace(microsecond=0)
    content = tomllib.loads(write("--mirror", "--notrack", "--model", "my model").read_text())
    run = content["run"]
    assert run["command"] == "bids_stroke bids out participant --mirror --notrack --model 'my model'"
    assert run["date"] >= before and run["bids_dir"] == str(folder / "bids")
    assert content["versions"]["bids_stroke"] == __version__ and "torch" in content["versions"]
    assert content["options"]["model"] == "my model" and content["options"]["mirror"] is True
    assert content["options"]["normalization"] == "enantiomorphic", "defaults are written, too"
    assert not {"nprocs", "mem_mb", "tfce", "dry_run", "notrack"} & set(content["options"])


@pytest.mark.parametrize(
    ("words", "level", "name"),
    [
        ([], "participant", "bids_stroke.toml"),
        (["--participant-label", "sub-01"], "participant", "sub-01_run.toml"),
        (["--participant-label", "02", "01"], "participant", "sub-02_run.toml"),
        ([], "group", "group_run.toml"),
    ],
)
def test_names(folder, words, level, name):
    assert write(*words, level=level) == folder / "out/logs" / name


def test_the_command_line_takes_precedence(folder):
    path = write("--tract", "xtract-cst", "s-matt-m1", "-v", "--mem", "9G", "--mirror")
    settings = parse("--config-file", str(path), "--tract", "juelich-cst", "-vv")
    assert settings.tracts == ("juelich-cst",) and settings.verbose == 2
    assert settings.mem_mb == 9000 and settings.mirror


def test_options_of_the_other_level_are_ignored(folder):
    path = write("--mirror", "--participant-label", "01", "02")
    settings = parse("--config-file", str(path), level="group")
    assert settings.participant_label == ("01", "02") and not settings.mirror


def test_the_options_of_the_group_level_start_the_participant_level(folder):
    """Reports alone would be written if the file contained --reports-only."""
    path = write("--reports-only", "--strict", "--outcome", "nihss", level="group")
    settings = parse("--config-file", str(path))
    assert settings.strict and not settings.reports_only and settings.outcomes == ()


def test_options_without_effect_are_not_written(folder):
    """Otherwise the default of the model would contradict the masks if it changes."""
    options = tomllib.loads(write("--lesion-derivatives", "masks").read_text())["options"]
    assert options["lesion_derivatives"] == str(folder / "masks") and "model" not in options
    assert "permutations" not in tomllib.loads(write(level="group").read_text())["options"]


@pytest.mark.parametrize(
    ("option", "level", "message"),
    [
        ('lesion_derivatives = "masks"', "participant", "a.toml, --model has no effect with --lesion"),
        ("tfce = true", "group", "a.toml, --tfce has no effect without --outcome"),
    ],
)
def test_options_of_file_and_command_line_must_agree(folder, option, level, message):
    (folder / "a.toml").write_text(f"[options]\n{option}\n")
    more = ["--model", "mine"] if level == "participant" else []
    with pytest.raises(UsageError, match=message):
        parse("--config-file", "a.toml", *more, level=level)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[options", r"a\.toml cannot be read as TOML \(Expected ']'"),
        (b"\xff", r"cannot be read as TOML \('utf-8' codec"),
        (None, "does not exist; check --config-file"),
        ("model = 'x'", r"has the entry 'model'; write the options below \[options\]\."),
        ("options = 3", r"has the entry 'options'; write the options below \[options\]\."),
        ("[options]\nnproc = 3", "has the unknown option 'nproc'; did you mean nprocs\\?"),
        ("[options]\nx = 3", "has the unknown option 'x'; use names such as nprocs"),
        ("[options]\nconfig_file = 'b.toml'", "has the unknown option 'config_file'"),
        ("[options]\nreports_only = true", "has the unknown option 'reports_only'"),
        ("[options]\nnprocs = 2\nn-cpus = 3", "has nprocs and n-cpus, which are the same option"),
        ("[options]\nmem_mb = 2\nmem-mb = 3", "has mem_mb and mem-mb, which are the same option"),
        ("[options]\nmirror = 'yes'", "has mirror = 'yes'; the value must be true or false"),
        ("[options]\nmirror = 1", "has mirror = 1; the value must be true or false"),
        ("[options]\nnprocs = '3'", "has nprocs = '3'; the value must be an integer"),
        ("[options]\nnprocs = true", "has nprocs = True; the value must be an integer"),
        ("[options]\nnprocs = 0", "has an invalid value: .*0 is not a positive integer"),
        ("[options]\nverbose = 1_000_000_000", "the value must be an integer up to 9"),
        ("[options]\nmodel = ['a']", r"has model = \['a'\]; the value must be text"),
        ("[options]\ntract = 'a'", "the value must be a list of texts"),
        ("[options]\ncutoffs = [1, 'a']", "the value must be a list of numbers"),
        ("[options]\ncutoffs = [1]", "has an invalid value: --cutoffs: expected 2 arguments"),
        ("[options]\ndevice = 'tpu'", "has an invalid value: --device cannot be tpu; use one of auto"),
    ],
)
def test_invalid_files(folder, text, message):
    if text is not None:
        (folder / "a.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UsageError, match=message) as caught:
        parse("--config-file", "a.toml")
    assert "a.toml" in str(caught.value) and "\n" not in str(caught.value)
