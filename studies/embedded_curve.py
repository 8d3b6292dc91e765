"""Print the scores of the embedded model against its training time.

    python studies/embedded_curve.py OUT

OUT is the output folder of a training on simulated strokes. The table has a row for each validation:
the Dice of the averaged weights by input, on fixed samples of the heads and lesion shapes that are held
out for validation, at the threshold of 0.5, and the loss since the previous validation.
"""

import argparse
from pathlib import Path

import pandas as pd

PREFIX = "dice_"  # columns of the Dice by threshold


def curve(folder):
    """Return the table of the validations of a training."""
    paths = folder.glob("log/version_*/metrics.csv")
    tables = [pd.read_csv(path) for path in sorted(paths, key=lambda path: int(path.parts[-2][8:]))]
    # A continued training repeats the steps after its last checkpoint.
    first = [table.step.min() for table in tables[1:]] + [float("inf")]
    rows = pd.concat([table[table.step < end] for table, end in zip(tables, first, strict=True)])
    # A validation follows the losses of its steps.
    rows["loss"] = rows.loss.groupby(rows.minutes.notna()[::-1].cumsum()[::-1]).transform("mean")
    rows = rows[rows.minutes.notna() & rows.loss.notna()]
    inputs = [c for c in rows if not c.startswith(PREFIX) and c not in ("epoch", "step", "loss")]
    rows = rows.assign(step=rows.step.astype(int))[["step", *inputs, "loss"]]
    return rows.round(3)


def main():
    """Command line."""
    command = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    command.add_argument("out", type=Path)
    print(curve(command.parse_args().out).to_markdown(index=False))


if __name__ == "__main__":
    main()
