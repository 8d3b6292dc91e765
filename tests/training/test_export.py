"""Cards of trainings by nnU-Net with toy results."""

import nnunets
import pytest
import yaml

from bids_stroke.errors import ModelError
from bids_stroke.models import catalog
from bids_stroke.training import recipes
from bids_stroke.training.export import LOWEST_LOSS, export

NAMES = "epoch,train_losses,val_losses,mean_fg_dice,lrs"


def write_run(folder, name, dice):
    """Write a training whose folds have two epochs, the first with the lowest validation loss."""
    content = recipes.read_content(name) | {"target": "own"}
    contrasts = tuple(content["data"]["contrasts"])
    results = folder / "results/Dataset001_s/nnUNetTrainer__nnUNetPlans__3d_fullres"
    nnunets.write(
        results, nnunets.architecture(), (2, 2, 2), (16,) * 3, contrasts, folds=len(dice), steps=0
    )
    for fold, value in enumerate(dice):
        out = results / f"fold_{fold}"
        (out / "checkpoint_final.pth").rename(out / LOWEST_LOSS)
        rows = [NAMES, f"0,0.5,0.4,{value},0.01", "1,0.5,0.6,0.99,0.005"]
        (out / "metrics.csv").write_text("\n".join(rows))
    (folder / "recipe.yaml").write_text(yaml.safe_dump(content))
    return folder


def test_the_mean_of_folds_and_the_best_fold(tmp_path):
    run = write_run(tmp_path / "run", "s4_adapt_flair", dice=(0.5, 0.7, 0.6))
    both, best = map(catalog.load, export(run, tmp_path / "cards"))
    assert (both.name, best.name) == ("s4_adapt_flair", "s4_adapt_flair-best")
    assert len(both.all_weights) == 3 and len(best.all_weights) == 1
    assert best.weights.sha256 == both.all_weights[1].sha256
    assert best.notes[0].startswith("Fold 1,") and best.notes[1:] == both.notes
    assert both.reference == best.reference == "FLAIR"


def test_a_single_fold_has_one_card(tmp_path):
    run = write_run(tmp_path / "run", "s4", dice=(0.5,))
    (path,) = export(run, tmp_path / "cards")
    assert catalog.load(path).reference is None and "reference" not in path.read_text()


def test_a_fine_tuning_has_its_card(tmp_path, recipe):
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe.content))
    with pytest.raises(ModelError, match="is the output of a fine-tuning"):
        export(tmp_path, tmp_path / "cards")
