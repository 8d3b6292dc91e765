"""``bids_stroke-check``: check the installation and the resources of the machine."""

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from bids_stroke import __version__
from bids_stroke.errors import ResourceError, StrokeError
from bids_stroke.execution import resources

from .command import CommandParser, run_parsed


def parser() -> CommandParser:
    """Return the parser of the command."""
    return CommandParser(
        prog="bids_stroke-check",
        description="Check that the weights, template, tract and super-regions are installed and "
        "intact, and report the available cores, memory and GPUs. No network is needed.",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return 1 if a part is missing or damaged, else 0."""
    return run_parsed(parser(), _check, argv)


def _check(_: argparse.Namespace) -> int:
    """Check all parts and print the results."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            resources.ensure_writable_folders(Path(folder))
            print(f"bids_stroke {__version__}")
            print(f"cores: {resources.cores()}, memory: {resources.memory_mb()} MB, {_devices()}")
            failures = [name for name, check in CHECKS.items() if not _passes(name, check)]
    except FileNotFoundError as error:
        print(f"temporary files: FAILED: {error}; mount a writable folder at /tmp.")
        return 1
    return 1 if failures else 0


def _passes(name: str, check: Callable[[], str]) -> bool:
    try:
        description = check()
    except (StrokeError, ImportError, OSError) as error:
        print(f"{name}: FAILED: {error}")
        return False
    print(f"{name}: {description}")
    return True


def _devices() -> str:
    import torch

    names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return f"GPUs: {', '.join(names) or 'none'}, torch {torch.__version__}"


def _brain_extraction() -> str:
    from bids_stroke.spatial import hd_bet

    number = sum(1 for _ in hd_bet.networks())
    return f"{number} HD-BET networks, checksums match the published ones"


def _deepbet() -> str:
    from bids_stroke.spatial.brain_extraction import require_method

    try:
        require_method("deepbet")
    except ResourceError as error:
        return f"not installed, optional. {error}"
    return f"version {version('deepbet')}"


def _model() -> str:
    from bids_stroke.models import catalog, weights
    from bids_stroke.settings import DEFAULT_MODEL

    for card in catalog.load(DEFAULT_MODEL).leaves:
        weights.load(card)
    return f"{DEFAULT_MODEL}, checksum matches the model card"


def _template() -> str:
    from bids_stroke.spatial import templates

    return f"{templates.TEMPLATE}, {'×'.join(map(str, templates.template().t1w.shape))}"


def _tract() -> str:
    from bids_stroke.atlases import tract_cards, tracts

    return f"{tract_cards.load_card().name}, sides {', '.join(tracts.load_tract())}"


def _regions() -> str:
    from bids_stroke.atlases import super_regions

    super_regions.super_regions()
    return ", ".join(super_regions.super_regions_card().names)


CHECKS = {
    "brain extraction": _brain_extraction,
    "deepbet": _deepbet,
    "model": _model,
    "template": _template,
    "tract": _tract,
    "super-regions": _regions,
}
if __name__ == "__main__":
    sys.exit(main())
