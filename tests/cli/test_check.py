"""The command that checks the installation."""

import sys

import pytest

from bids_stroke.cli import check


@pytest.mark.parametrize("installed", [True, False])
def test_deepbet_is_optional(monkeypatch, capsys, installed):
    monkeypatch.setattr(check, "CHECKS", {"deepbet": check.CHECKS["deepbet"]})
    if not installed:
        monkeypatch.setitem(sys.modules, "deepbet", None)
    assert check.main([]) == 0
    expected = "deepbet: version " if installed else "deepbet: not installed"
    assert expected in capsys.readouterr().out
