import itertools
import json

import numpy as np
import pandas as pd

from bids_stroke.bids import derivatives
from bids_stroke.bids.names import description_of
from bids_stroke.bids.source_datasets import SourceDatasets
from bids_stroke.models.card import CONTRASTS


def test_every_desc_has_a_description():
    for number in range(1, len(CONTRASTS) + 1):
        for contrasts in itertools.combinations(CONTRASTS, number):
            assert f"desc-{description_of(contrasts)}" in derivatives.DESCRIPTIONS


def test_tables_have_na_and_six_digits(tmp_path):
    table = pd.DataFrame(
        {
            "id": ["sub-01", "sub-02", None],
            "volume_ml": [1 / 3, np.nan, 123456.789],
            "n": [1, 2, 3],
        }
    )
    derivatives.write_tsv(table, tmp_path / "x.tsv")
    assert (tmp_path / "x.tsv").read_text() == (
        "id\tvolume_ml\tn\nsub-01\t0.333333\t1\nsub-02\tn/a\t2\nn/a\t123457\t3\n"
    )


def test_json_is_written_in_utf8(tmp_path):
    derivatives.write_json({"Units": "mm³"}, tmp_path / "x.json")
    assert "mm³" in (tmp_path / "x.json").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "x.json").read_text()) == {"Units": "mm³"}


def test_dataset_files_are_written_once(tmp_path):
    out = tmp_path / "out"
    sources = SourceDatasets(tmp_path / "raw", out)
    derivatives.write_dataset_files(sources)
    description = json.loads((out / "dataset_description.json").read_text())
    assert description["DatasetType"] == "derivative"
    assert description["DatasetLinks"] == {"raw": "../raw"}
    times = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    derivatives.write_dataset_files(sources)
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == times
    (out / "README").unlink()
    derivatives.write_dataset_files(sources)
    assert (out / "README").is_file()
