"""Fine-tuning checks the scans and the split before the training."""

import json

import bidsets
import pandas as pd
import pytest

from bids_stroke.errors import DatasetError, UsageError
from bids_stroke.training import finetuned_card, run
from bids_stroke.training.patients import preparation, split
from bids_stroke.training.recipes import parse_patients, read_content

pytestmark = pytest.mark.slow
PARTS = ("training", "training", "validation", "test")


def split_table(parts):
    """Split of the subjects of :func:`bidsets.atlas`."""
    names = [f"sub-r00{number % 2 + 1}s00{number}" for number in range(len(parts))]
    return pd.DataFrame({"participant_id": names, "part": parts})


def test_the_split_of_a_fine_tuning(tmp_path, recipe):
    atlas, out, lines = bidsets.atlas(tmp_path / "atlas", 4), tmp_path / "out", []
    data = {"brain_extraction": "none"}
    content = read_content("finetune") | {"initial": str(recipe.model.path), "data": data}

    def train(*parts):
        lines.clear()
        path = split.write(split_table(parts), tmp_path / "split.tsv")
        settings = {"split_path": path, "report": lines.append}
        return run.train_on_patients(
            parse_patients(content, "finetune"), [(atlas, atlas)], out, **settings
        )

    with pytest.raises(DatasetError, match="has no subject for test; add subjects"):
        train("training", "validation")
    assert lines[-1].endswith("their subjects: atlas_sub-r001s002_ses-1, atlas_sub-r002s003_ses-1.")
    with pytest.raises(DatasetError, match="intermediate, which fine-tuning does not use"):
        train("training", "validation", "test", "intermediate")

    patients = preparation.prepare_patients(
        [(atlas, atlas)], recipe.prepared, out / "cache", "none", report=lines.append
    )
    assigned = split.assign_parts(patients, split_table(PARTS))
    result = {"steps": 4, "fingerprint": finetuned_card.fingerprint(recipe.model, assigned)}
    (out / finetuned_card.SUMMARY).write_text(json.dumps(result))
    assert train(*PARTS) == result
    assert lines[-1] == f"{out} already contains this result; give another folder to train again."
    with pytest.raises(UsageError, match="other scans, masks or parts of the split"):
        train(*reversed(PARTS))
    assert not (out / "split.tsv").exists()


def test_sessions_without_an_input_of_the_model_are_reported(tmp_path, recipe):
    atlas, lines, path = bidsets.atlas(tmp_path / "atlas", 1), [], recipe.model.path
    path.write_text(path.read_text().replace("- - T1w\n  - FLAIR\n- - T1w\n", "- - FLAIR\n"))
    content = {"initial": str(path), "data": {"brain_extraction": "none"}}
    changed = parse_patients(read_content("finetune") | content, "finetune")
    assert changed.data.groups == [["FLAIR"]]
    with pytest.raises(DatasetError, match="0 subjects are too few"):
        run.train_on_patients(changed, [(atlas, atlas)], tmp_path / "out", report=lines.append)
    assert lines[-1] == "atlas_sub-r001s000_ses-1 is left out: it has T1w, but not FLAIR."
