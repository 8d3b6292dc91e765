"""The command that exports lesions for other programs."""

import pytest

from bids_stroke.cli.export import PROGRAMS, main
from bids_stroke.cohort.export import FORMATS


def test_the_command_offers_all_formats():
    assert PROGRAMS.keys() == FORMATS.keys()


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["--to", "spm"], 2, "--to cannot be spm; use one of lesymap, niistat, svrlsm, fmriprep, csv"),
        ([], 2, "the following arguments are required: --to"),
        (["--to", "csv"], 1, "group_lesion.tsv does not exist; run the group level first."),
    ],
)
def test_errors(tmp_path, capsys, words, status, message):
    assert main([str(tmp_path), str(tmp_path / "export"), *words]) == status
    assert message in capsys.readouterr().err
