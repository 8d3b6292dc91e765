import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bids_stroke.bids import derivatives
from bids_stroke.bids.names import description_of
from bids_stroke.models.card import CONTRASTS


def test_every_description_that_can_be_written_is_described():
    for number in range(1, len(CONTRASTS) + 1):
        for contrasts in itertools.combinations(CONTRASTS, number):
            assert f"desc-{description_of(contrasts)}" in derivatives.DESCRIPTIONS


def test_tables_have_na_and_six_digits(tmp_path):
    table = pd.DataFrame({
        "id": ["sub-01", "sub-02", None],
        "volume_ml": [1 / 3, np.nan, 123456.789],
        "n": [1, 2, 3],
    })  # fmt: skip
    derivatives.write_tsv(table, tmp_path / "x.tsv")
    assert (tmp_path / "x.tsv").read_text() == (
        "id\tvolume_ml\tn\nsub-01\t0.333333\t1\nsub-02\tn/a\t2\nn/a\t123457\t3\n"
    )


def test_json_keeps_letters(tmp_path):
    derivatives.write_json({"Units": "mm³"}, tmp_path / "x.json")
    assert "mm³" in (tmp_path / "x.json").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "x.json").read_text()) == {"Units": "mm³"}


@pytest.mark.parametrize(
    "path, bids_dir, output_dir, expected",
    [
        ("/raw/sub-01/x", "/raw", "/out", "bids:raw:sub-01/x"),
        ("/out/sub-01/x", "/raw", "/out", "bids::sub-01/x"),
        ("/raw/derivatives/out/sub-01/x", "/raw", "/raw/derivatives/out", "bids::sub-01/x"),
        ("/raw/sub-01/x", "/raw", "/raw/derivatives/out", "bids:raw:sub-01/x"),
        ("/all/raw/sub-01/x", "/all/raw", "/all", "bids:raw:sub-01/x"),
        ("/rawer/x", "/raw", "/out", "file:///rawer/x"),
    ],
)
def test_uri(path, bids_dir, output_dir, expected):
    assert derivatives.uri(Path(path), Path(bids_dir), Path(output_dir)) == expected


def test_dataset_files_are_written_once(tmp_path):
    out = tmp_path / "out"
    derivatives.write_dataset_files(out, tmp_path / "raw")
    description = json.loads((out / "dataset_description.json").read_text())
    assert description["DatasetType"] == "derivative"
    assert description["DatasetLinks"] == {"raw": (tmp_path / "raw").as_uri()}
    times = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    derivatives.write_dataset_files(out, tmp_path / "raw")
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == times
    (out / "README").unlink()
    derivatives.write_dataset_files(out, tmp_path / "raw")
    assert (out / "README").is_file()
