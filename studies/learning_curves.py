"""Learning curves of trainings by ``bids_stroke-train``."""

import numpy as np
import pandas as pd
from common import markdown

SHARES = (0.25, 0.5, 0.75, 1.0)  # of the epochs
LARGE_ML = 10

TEXT = f"""### Learning curves

Mean Dice of the validation patients at quarters of the epochs of the last stage of each network, and
mean Dice of the test patients with lesions over {LARGE_ML} ml.

"""


def read(stage):
    """Return the validation Dice of each epoch of a stage (its output folder) as an array.

    An epoch that was interrupted and repeated has its last value.
    """
    logs = sorted(stage.glob("log/version_*/metrics.csv"), key=lambda path: int(path.parent.name[8:]))
    rows = pd.concat(map(pd.read_csv, logs)).dropna(subset="val_dice")
    return rows.groupby("epoch")["val_dice"].last().to_numpy()


def table(stages, rows):
    """Return the validation Dice during the last stage of each network, and the Dice of large lesions.

    Parameters
    ----------
    stages : dict of str to Path
        Output folder of the last stage by model.
    rows : pandas.DataFrame
        Rows of evaluation.tsv with the same models.

    Returns
    -------
    pandas.DataFrame
    """
    large = rows[rows["true_volume_ml"] > LARGE_ML].groupby("model")["dice"].mean()
    lines = []
    for model, stage in stages.items():
        dice = read(stage)
        ends = np.ceil(np.array(SHARES) * len(dice)).astype(int) - 1
        line = {"model": model, "epochs": len(dice)}
        line |= {f"{share:.0%}": f"{dice[end]:.2f}" for share, end in zip(SHARES, ends, strict=True)}
        lines.append(line | {f"test, over {LARGE_ML} ml": f"{large[model]:.2f}"})
    return pd.DataFrame(lines)


def section(stages, rows):
    """Return the part of a page with the learning curves, with the arguments of :func:`table`."""
    return TEXT + markdown(table(stages, rows))
