"""Files of the host that a run needs: every setting with a path is included."""

import json
import typing
from dataclasses import asdict, fields, replace
from pathlib import Path

import cards
import nnunets
import pytest

from bids_stroke.cli import options, parser
from bids_stroke.execution.host_paths import WRITTEN, find_host_paths
from bids_stroke.settings import Settings
from bids_stroke.utils import safe_yaml

ATLAS = "atlas-X_space-MNI152NLin2009aSym_dseg"


def holds_path(kind):
    """Return whether a type contains paths at any level."""
    return kind is Path or any(map(holds_path, typing.get_args(kind)))


#: Settings that contain paths, by their types.
PATHS = {name for name, kind in typing.get_type_hints(Settings).items() if holds_path(kind)}
#: String settings that may be paths.
NAMES = {"brain_extraction", "model", "tracts"}


@pytest.fixture
def settings(tmp_path):
    return Settings(
        bids_dir=make(tmp_path / "bids"),
        output_dir=tmp_path / "out",
        work_dir=tmp_path / "work",
        level="participant",
        bids_filters={},
    )


def make(path):
    if path.suffix:
        path.write_text("x")
    else:
        path.mkdir()
    return path


def write_card(folder, name, **weights):
    """Write a model card; the weights are in the same folder."""
    content = asdict(cards.make(name=name))
    weights = {"sha256": "0" * 64, "bytes": 1, "licence": "CC0", **weights}
    content |= {
        "spacing": [1, 1, 1],
        "tile": [8, 8, 8],
        "weights": weights,
        "channels": [{"contrast": "T1w"}],
    }
    for key in ("path", "plan", "folds", "window", "calibration", "inputs", "trained_range", "mirror"):
        del content[key]
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.yaml").write_text(safe_yaml.dump(content))
    return folder / f"{name}.yaml"


@pytest.mark.parametrize("name", sorted(PATHS))
def test_every_setting_with_paths(settings, tmp_path, name):
    """Settings are found by their types, so that new ones are included."""
    first, second = tmp_path / "named", tmp_path / f"{ATLAS}.nii.gz"
    make(first), make(second)
    kind = typing.get_type_hints(Settings)[name]
    if Path in typing.get_args(kind) or kind is Path:
        value = (first,) if typing.get_origin(kind) is tuple else first
        named = {first}
    else:
        value, named = ((second, first),), {first, second}
    needed = find_host_paths(replace(settings, **{name: value}))
    assert named <= set(needed.written if name in WRITTEN else needed.read)


def test_every_option_with_a_file_is_a_setting():
    """Otherwise, the settings would not contain the path."""
    actions = {action.dest for action in options.build()._actions if action.type is Path}
    assert actions - {"atlas", "atlas_labels"} <= PATHS  # a pair of them is one of atlases
    texts = {field.name for field in fields(Settings) if "str" in str(field.type)}
    no_files = {
        "participant_label",
        "session_label",
        "assume_orientation",
        "level",
        "command",
    }
    no_files |= {"bids_filters", "normalization", "output_spaces", "device", "group_by"}
    no_files |= {"outcomes", "covariates", "worse", "flip_to"}
    assert texts == NAMES | no_files


def test_cards_and_weights_of_members(settings, tmp_path):
    """Two members, one with one weights file, one with weights of two folds."""
    first = write_card(tmp_path / "a", "one", file="one.safetensors")
    second = write_card(tmp_path / "b", "two", file="two.safetensors")
    content = safe_yaml.read(second)
    second.write_text(
        safe_yaml.dump({**content, "folds": [{**content["weights"], "file": "fold.safetensors"}]})
    )
    files = [
        make(tmp_path / f) for f in ("a/one.safetensors", "b/two.safetensors", "b/fold.safetensors")
    ]
    whole = tmp_path / "whole.yaml"
    described = {"trained_on": "", "measured": [], "notes": [], "citation": ""}
    members = {"members": ["a/one.yaml", "b/two.yaml"], "fusion": "mean"}
    whole.write_text(
        safe_yaml.dump({"name": "w", "threshold": 0.5, "min_component_mm3": 1, **members, **described})
    )
    assert {whole, first, second, *files} <= set(
        find_host_paths(replace(settings, model=str(whole))).read
    )


def test_weights_in_the_cache_require_the_cache(settings, tmp_path, monkeypatch):
    monkeypatch.setenv("BIDS_STROKE_HOME", str(tmp_path / "home"))
    card = write_card(tmp_path / "a", "one", url="https://example.org/one")
    needed = find_host_paths(replace(settings, model=str(card)))
    assert card in needed.read
    assert tmp_path / "home" in needed.written
    assert needed.environment == {"BIDS_STROKE_HOME": str(tmp_path / "home")}


def test_the_embedded_model_needs_nothing(settings):
    needed = find_host_paths(settings)
    assert (needed.read, needed.environment) == ((settings.bids_dir,), {})


@pytest.mark.parametrize("option", ["model", "brain_extraction"])
@pytest.mark.parametrize("choice", ["", "?folds=1"])
def test_the_folder_of_an_nnunet(settings, tmp_path, choice, option):
    folder = nnunets.write(
        tmp_path / "nn", nnunets.architecture(), (2, 2, 2), (16, 16, 16), folds=2, steps=0
    )
    needed = find_host_paths(replace(settings, **{option: f"nnunet:{folder}{choice}"}))
    assert {folder, folder / "fold_1/checkpoint_final.pth"} <= set(needed.read)


def test_a_model_is_not_needed_for_supplied_masks(settings, tmp_path):
    card = write_card(tmp_path / "a", "one", file="one.safetensors")
    masks = make(tmp_path / "masks")
    needed = find_host_paths(replace(settings, model=str(card), lesion_derivatives=masks))
    assert masks in needed.read and card not in needed.read


def test_a_tract_by_its_card_and_by_its_map(settings, tmp_path):
    """The map of a card is in the folder of the card."""
    bare = make(tmp_path / "atlas-B_space-MNI152NLin6Asym_probseg.nii.gz")
    beside = make(tmp_path / "map.nii.gz")
    card = tmp_path / "mine.yaml"
    content = {"name": "mine", "atlas": "M", "file": "map.nii.gz", "space": "MNI152NLin6Asym"}
    card.write_text(safe_yaml.dump({**content, "cutoffs_ml": {"lower": 1, "upper": 2}}))
    needed = find_host_paths(replace(settings, tracts=(str(bare), str(card))))
    assert {bare, beside, card} <= set(needed.read)
    group = replace(settings, tracts=(str(bare),), level="group", model="missing")
    assert bare in find_host_paths(group).read


def test_a_template_of_templateflow(settings, tmp_path, monkeypatch):
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path / "flow"))
    space = "MNI152NLin6Asym"
    folder = tmp_path / "flow" / f"tpl-{space}"
    folder.mkdir(parents=True)
    names = ("T1w", "desc-brain_mask")
    files = [make(folder / f"tpl-{space}_res-01_{name}.nii.gz") for name in names]
    needed = find_host_paths(replace(settings, output_spaces=(space,)))
    assert set(files) <= set(needed.read)
    assert needed.environment == {"TEMPLATEFLOW_HOME": str(tmp_path / "flow")}


def test_the_filter_file_stays_in_the_settings(tmp_path):
    bids = make(tmp_path / "bids")
    description = {"Name": "tested", "BIDSVersion": "1.10.0"}
    (bids / "dataset_description.json").write_text(json.dumps(description))
    (tmp_path / "f.json").write_text("{}")
    words = [
        str(bids),
        str(tmp_path / "out"),
        "participant",
        "--bids-filter-file",
        str(tmp_path / "f.json"),
    ]
    assert tmp_path / "f.json" in find_host_paths(parser.parse(words)).read
