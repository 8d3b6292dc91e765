"""Files for Boutiques, Nipoppy, BABS and Neurodesk, compared with the command line of bids_stroke."""

import base64
import importlib
import json
import re
import shlex
import warnings
from configparser import ConfigParser
from pathlib import Path

import pytest
import yaml

from bids_stroke import __version__
from bids_stroke.bids.names import derivative, folder_of
from bids_stroke.cli import options, parser
from bids_stroke.cli.given import name_of
from bids_stroke.spatial.templates import TEMPLATE

ROOT = Path(__file__).parents[2]
CONTAINER = ROOT / "container"


def load(name):
    return yaml.safe_load((CONTAINER / name).read_text())  # JSON is a part of YAML


INPUTS = {entry["id"]: entry for entry in load("nipoppy/descriptor.json")["inputs"]}
REQUIRED = {"bids_dir": "/data", "output_dir": "/out", "analysis_level": "participant"}
#: Values of inputs whose texts are checked.
SAMPLES = {"brain_extraction": "none", "mem_mb": "16G"}
#: Sections of the container configuration that BABS 0.5 requires, and those that it also reads.
BABS_REQUIRED = {
    *("input_datasets", "zip_foldernames"),
    *("cluster_resources", "script_preamble", "job_compute_space"),
}
BABS_OPTIONAL = {"bids_app_args", "singularity_args", "all_results_in_one_zip", "imported_files"}


def words(invocation):
    """Return the words of the command line that Boutiques makes of an invocation."""
    result = []
    for key, entry in INPUTS.items():
        if key in invocation:
            value = invocation[key]
            values = value if entry.get("list") else [value] * (entry["type"] != "Flag")
            result += [*filter(None, [entry.get("command-line-flag")]), *map(str, values)]
    return result


def sample(entry):
    """Return a value of an input that is not the default."""
    value = {"Flag": True, "Number": 3}.get(entry["type"], SAMPLES.get(entry["id"], "x"))
    value = entry.get("value-choices", [value])[-1]
    return [value] * entry.get("min-list-entries", 1) if entry.get("list") else value


def test_files_are_current(monkeypatch):
    monkeypatch.syspath_prepend(str(CONTAINER))
    for path, text in importlib.import_module("descriptors").contents():
        assert path.read_text() == text, f"{path}: run python container/descriptors.py"


def test_all_options_are_inputs():
    actions = [action for action in options.build()._actions if action.option_strings]
    flags = {entry.get("command-line-flag") for entry in INPUTS.values()} - {None}
    assert set(map(name_of, actions)) - flags == {"--help", "--version", "--print-completion"}
    assert {key for key, entry in INPUTS.items() if not entry["optional"]} == REQUIRED.keys()


@pytest.mark.parametrize("key", sorted(INPUTS.keys() - REQUIRED.keys()))
def test_an_input_changes_the_value_of_its_option(key):
    before, after = (
        vars(options.build().parse_args(words(invocation)))
        for invocation in (REQUIRED, {**REQUIRED, key: sample(INPUTS[key])})
    )
    assert len({name for name in before if before[name] != after[name]}) == 1


@pytest.mark.parametrize("step", load("nipoppy/config.json")["STEPS"], ids=lambda step: step["NAME"])
def test_nipoppy_invocations(step):
    invocation = load(f"nipoppy/{step['INVOCATION_FILE']}")
    assert INPUTS.keys() >= invocation.keys() >= REQUIRED.keys()
    assert parser.read(words(invocation))["analysis_level"] == step["ANALYSIS_LEVEL"]


def test_nipoppy_tracks_the_outputs_of_a_session(tmp_path):
    name = "sub-01_ses-1"
    folder = tmp_path / folder_of(name)
    lesion = {"label": "L", "desc": "T1lesion"}
    paths = [
        folder / derivative(name, "mask", space="T1w", **lesion),
        folder / derivative(name, "mask", space=TEMPLATE, res="1", **lesion),
        folder / derivative(name, "morph", ".tsv", space=TEMPLATE, atlas="JuelichCST", **lesion),
        tmp_path / "sub-01.html",
    ]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    text = (CONTAINER / "nipoppy/tracker.json").read_text()
    for key, value in (("PARTICIPANT", "sub-01"), ("SESSION", "ses-1")):
        text = text.replace(f"[[NIPOPPY_BIDS_{key}_ID]]", value)
    for pattern, path in zip(json.loads(text)["PATHS"], paths, strict=True):
        assert path in tmp_path.glob(pattern)
        path.unlink()
        assert path not in tmp_path.glob(pattern)


def test_babs_configuration():
    config = load("babs.yaml")
    assert BABS_REQUIRED <= config.keys() <= BABS_REQUIRED | BABS_OPTIONAL
    assert config["zip_foldernames"] == {"bids_stroke": __version__.replace(".", "-")}
    arguments = config["bids_app_args"]
    label = arguments.pop("$SUBJECT_SELECTION_FLAG")
    command = ["/data", "/out", "participant", *sum(arguments.items(), ()), label, "sub-01"]
    assert parser.read(command)["participant_label"] == ["01"]


def test_babs_writes_a_valid_command(tmp_path):
    babs = pytest.importorskip("babs.container")
    datasets = pytest.importorskip("babs.input_datasets")
    script = pytest.importorskip("babs.generate_submit_script")
    container = babs.Container("", "bids_stroke", str(CONTAINER / "babs.yaml"))
    inputs = datasets.InputDatasets("subject", container.config["input_datasets"])
    inputs.update_abs_paths(str(tmp_path))
    with warnings.catch_warnings(action="error", category=UserWarning):
        container.generate_bash_run_bidsapp(str(tmp_path / "run.sh"), inputs, "subject")
        lines = script.generate_scheduler_directives("slurm", container.config["cluster_resources"])[1]
    assert len(lines) == 3
    text = (tmp_path / "run.sh").read_text()
    (command,) = re.findall(r"singularity run(.*?)\n\n", text, re.DOTALL)
    run = shlex.split(command.replace("\\\n", ""))
    values = parser.read(run[run.index(container.container_path_relToAnalysis) + 1 :])
    assert values["participant_label"] == ["${subid}"]
    assert str(values["output_dir"]) == "${PWD}/outputs/bids_stroke"


def test_neurodesk_recipe():
    recipe, checks = (load(f"neurodesk/{name}.yaml") for name in ("build", "fulltest"))
    assert (recipe["name"], recipe["version"]) == (checks["name"], checks["version"])
    assert "_" not in recipe["name"] and recipe["version"] == __version__
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    scripts = setup["options.entry_points"]["console_scripts"].split("\n")
    assert sorted(recipe["deploy"]["bins"]) == sorted(
        line.partition("=")[0].strip() for line in scripts if line
    )
    assert f"\nFROM {recipe['build']['base-image']}\n" in (ROOT / "Dockerfile").read_text()
    icon = base64.b64decode(recipe["icon"].partition("base64,")[2], validate=True)
    assert icon == (ROOT / "docs/pictures/favicon.svg").read_bytes()


def test_boutiques_descriptor_is_valid():
    boutiques = pytest.importorskip("boutiques")
    boutiques.validate(str(CONTAINER / "nipoppy/descriptor.json"))


def test_boutiques_writes_the_same_command(capfd):
    boutiques = pytest.importorskip("boutiques")
    invocation = REQUIRED | {
        key: sample(entry)
        for key, entry in INPUTS.items()
        if key in ("participant_label", "cutoffs", "nprocs", "mirror", "work_dir")
    }
    text = json.dumps(invocation)
    done = boutiques.execute("simulate", str(CONTAINER / "nipoppy/descriptor.json"), "-i", text)
    assert shlex.split(done.shell_command) == ["bids_stroke", *words(invocation)]


def test_nipoppy_pipeline_is_valid():
    validation = pytest.importorskip("nipoppy.pipeline_validation")
    validation.check_pipeline_bundle(CONTAINER / "nipoppy", strict=True)
