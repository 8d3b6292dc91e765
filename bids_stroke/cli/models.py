"""``bids_stroke-models``: what models there are; fetch, check, export and adapt them."""

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bids_stroke.errors import UsageError

from . import subcommands
from .downloads import download_all

if TYPE_CHECKING:  # slow to import
    from bids_stroke.models.card import Card
    from bids_stroke.models.ensembles import Model
    from bids_stroke.utils.download import Progress


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    command = argparse.ArgumentParser(
        prog="bids_stroke-models", description="Models of the lesion: MODEL is the name of an embedded "
        "one, the path of a card, or nnunet:FOLDER for the results of an nnU-Net v2.",
    )  # fmt: skip
    commands = command.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("list", help="the embedded models")
    for name, text in (
        ("show", "tell what a model is"),
        ("fetch", "download a card's weights"),
        ("verify", "check the weights, and that they fit the network"),
    ):
        commands.add_parser(name, help=text).add_argument("model", metavar="MODEL")
    commands.choices["fetch"].add_argument(
        "--accept-licence", action="store_true", help="accept the licence that is shown without it"
    )
    export = commands.add_parser("export", help="make cards with safetensors of a training")
    export.add_argument("run", type=Path, metavar="RUN", help="folder of a training or an nnU-Net")
    export.add_argument("out", type=Path, metavar="OUT", help="folder for cards and weights")
    export.add_argument("--name", help="name of the model (default: that of the recipe)")
    export.add_argument("--licence", default="not chosen yet", help="licence of the weights")
    search = commands.add_parser("search", help="find the best ensembles of several networks")
    search.add_argument("run", type=Path, metavar="RUN", help="folder of a training by the recipe s1")
    search.add_argument("out", type=Path, metavar="OUT", help="folder for cards, weights and tables")
    search.add_argument("--licence", default="not chosen yet", help="licence of the weights")
    search.add_argument("--device", default="auto", help="auto, cpu or cuda (auto)")
    adapt = commands.add_parser("adapt", help="take a trained network to further channels")
    adapt.add_argument("model", metavar="SOURCE", help="model to take")
    adapt.add_argument("out", type=Path, metavar="OUT", help="folder for the card and adapt.tsv")
    adapt.add_argument("--channels", nargs="+", required=True, metavar="CONTRAST", help="T1w FLAIR …")
    adapt.add_argument(
        "--new", choices=("duplicated", "zeros"), default="duplicated",
        help="weights of a new channel: the known ones duplicated, and all shared out; or zeros",
    )  # fmt: skip
    adapt.add_argument(
        "--plans", metavar="MODEL", help="nnU-Net whose network it shall fit (default: that of SOURCE)"
    )
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    return subcommands.run(parser(), _COMMANDS, argv)


def _list(_: argparse.Namespace) -> int:
    from bids_stroke.models import catalog

    for name in catalog.names():
        model = catalog.load(name)
        print(f"{name}\t{' '.join(_contrasts(model))}\t{model.licence}")
    return 0


def _show(arguments: argparse.Namespace) -> int:
    from bids_stroke.models import catalog

    model = catalog.load(arguments.model)
    rows = {
        "name": model.name,
        "contrasts": ", ".join(_contrasts(model)),
        "networks": ", ".join(map(_network, model.leaves)),
        "spacing": " × ".join(f"{mm:g}" for mm in model.spacing) + " mm",
        "threshold": f"{model.threshold:g}, components from {model.min_component_mm3:g} mm³",
        "weights": f"SHA-256 {model.sha256}",
        "licence": model.licence,
        "trained on": model.trained_on,
        "citation": model.citation,
        **{f"note {n}": note for n, note in enumerate(model.notes, 1)},
    }
    for key, value in rows.items():
        print(f"{key + ':':13}{' '.join(str(value).split())}")
    return 0


def _fetch(arguments: argparse.Namespace) -> int:
    from bids_stroke.models import catalog, imagenet
    from bids_stroke.models.download import fetch

    downloads: dict[str, Callable[[Progress], list[Path]]]
    if arguments.model == imagenet.NAME:
        downloads, licence = {imagenet.NAME: imagenet.fetch}, imagenet.LICENCE
    else:
        model = catalog.load(arguments.model)
        downloads, licence = {card.name: partial(fetch, card) for card in model.leaves}, model.licence
    if not arguments.accept_licence:
        print(f"The weights of {arguments.model} are under this licence: {licence}")
        raise UsageError("Give the command again with --accept-licence to accept it.")
    download_all(downloads)
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    from bids_stroke.models import catalog, weights

    model = catalog.load(arguments.model)
    for card in model.leaves:
        number = sum(1 for _ in weights.load_folds(card))
        print(f"{card.name}: {number} file{'s' * (number > 1)} as in the card, and fit for its network")
    return 0


def _export(arguments: argparse.Namespace) -> int:
    from bids_stroke.training.export import export

    for path in export(arguments.run, arguments.out, arguments.name, arguments.licence):
        print(path)
    return 0


def _search(arguments: argparse.Namespace) -> int:
    from bids_stroke.training.search import search

    for path in search(arguments.run, arguments.out, arguments.licence, arguments.device):
        print(path)
    return 0


def _adapt(arguments: argparse.Namespace) -> int:
    from bids_stroke.models import catalog
    from bids_stroke.models.adaptation import adapt_model

    source = catalog.load(arguments.model)
    target = catalog.load(arguments.plans) if arguments.plans else None
    path, report = adapt_model(source, arguments.channels, arguments.out, arguments.new, target)
    for action, number in report.counts().items():
        print(f"{number} tensors {action}")
    print(path)
    return 0


def _network(card: "Card") -> str:
    """Family of a network, and its name within the family."""
    names = [card.network.family, card.network.arguments.get("network")]
    return " ".join(filter(None, names))


def _contrasts(model: "Model") -> list[str]:
    return [c.contrast if c.required else f"[{c.contrast}]" for c in model.channels]


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "list": _list,
    "show": _show,
    "fetch": _fetch,
    "verify": _verify,
    "export": _export,
    "search": _search,
    "adapt": _adapt,
}
if __name__ == "__main__":
    sys.exit(main())
