"""``bids_stroke-models``: list, show, download, verify, export and adapt models, also to ONNX."""

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bids_stroke.errors import UsageError
from bids_stroke.settings import DEVICES

from .command import CommandParser, run_subcommand
from .downloads import download_all

if TYPE_CHECKING:  # slow to import
    from bids_stroke.models.card import Card
    from bids_stroke.models.ensembles import Model
    from bids_stroke.utils.download import Progress


def parser() -> CommandParser:
    """Return the parser of the command."""
    command = CommandParser(
        prog="bids_stroke-models",
        description="Manage lesion segmentation models. MODEL is the name of an included model, the "
        "path of a model card, or nnunet:FOLDER for the results of an nnU-Net (v2 or v1).",
    )
    commands = command.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("list", help="list the included models")
    for name, text in (
        ("show", "show the properties of a model"),
        ("fetch", "download the weights of a model"),
        ("verify", "check the weights against the model card and the network"),
    ):
        commands.add_parser(name, help=text).add_argument("model", metavar="MODEL")
    commands.choices["fetch"].add_argument(
        "--accept-license",
        action="store_true",
        help="accept the license; without this option, the license is shown",
    )
    export = commands.add_parser(
        "export", help="export a trained model as a model card with safetensors"
    )
    export.add_argument(
        "run", type=Path, metavar="RUN", help="output folder of bids_stroke-train or of nnU-Net"
    )
    export.add_argument(
        "out", type=Path, metavar="OUT", help="output folder for model cards and weights"
    )
    export.add_argument("--name", help="name of the model (default: name of the recipe)")
    export.add_argument("--licence", default="not chosen yet", help="license of the weights")
    search = commands.add_parser("search", help="find the best ensembles of the trained networks")
    search.add_argument(
        "run", type=Path, metavar="RUN", help="output folder of a training with recipe s1"
    )
    search.add_argument(
        "out", type=Path, metavar="OUT", help="output folder for model cards, weights and tables"
    )
    search.add_argument("--licence", default="not chosen yet", help="license of the weights")
    search.add_argument(
        "--device", choices=DEVICES, default=DEVICES[0], help="device of the networks (default: auto)"
    )
    adapt = commands.add_parser("adapt", help="adapt a trained network to additional input channels")
    adapt.add_argument("model", metavar="SOURCE", help="model to adapt")
    adapt.add_argument(
        "out", type=Path, metavar="OUT", help="output folder for the model card and adapt.tsv"
    )
    adapt.add_argument(
        "--channels",
        nargs="+",
        required=True,
        metavar="CONTRAST",
        help="contrasts of the input channels, such as T1w FLAIR",
    )
    adapt.add_argument(
        "--new",
        choices=("duplicated", "zeros"),
        default="duplicated",
        help="initial weights of new channels: duplicated (rescaled copies of the existing weights) or "
        "zeros (default: duplicated)",
    )
    adapt.add_argument(
        "--plans",
        metavar="MODEL",
        help="nnU-Net that defines the target network (default: network of SOURCE)",
    )
    onnx = commands.add_parser("onnx", help="export the networks of a model to ONNX")
    onnx.add_argument("model", metavar="MODEL", help="model to export")
    onnx.add_argument("out", type=Path, metavar="OUT", help="output folder for the ONNX files")
    onnx.add_argument("--half", action="store_true", help="export in half precision")
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return the exit status."""
    return run_subcommand(parser(), _COMMANDS, argv)


def _list(_: argparse.Namespace) -> int:
    from bids_stroke.models import catalog
    from bids_stroke.models.scores import allowed_inputs

    for name in catalog.names():
        model = catalog.load(name)
        print(f"{name}\tinputs {', '.join(allowed_inputs(model))}\t{model.licence}")
        _print_dice(model)
    return 0


def _print_dice(model: "Model") -> None:
    """Print a table of the expected Dice by lesion size, or that it was not measured."""
    from bids_stroke.models.scores import expected_dice

    sizes, rows = expected_dice(model)
    if not rows:
        print("  expected Dice: not measured")
        return
    table = [["expected Dice (n)", *sizes]]
    for (description, contrasts), scores in rows.items():
        texts = (_format_score(*scores[size]) if size in scores else "" for size in sizes)
        table.append([f"{description}, {contrasts}" if description else contrasts, *texts])
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for first, *others in table:
        columns = (f"{text:>{width}}" for text, width in zip(others, widths[1:], strict=True))
        print(f"  {first:<{widths[0]}}  {'  '.join(columns)}")


def _format_score(dice: float, number: int | None) -> str:
    return f"{dice:.2f} ({number})" if number else f"{dice:.2f}"


def _show(arguments: argparse.Namespace) -> int:
    from bids_stroke.models import catalog
    from bids_stroke.models.scores import allowed_inputs
    from bids_stroke.utils import references

    model = catalog.load(arguments.model)
    print(f"name:        {model.name}")
    print(f"inputs:      {', '.join(allowed_inputs(model))}")
    _print_dice(model)
    rows = {
        "networks": ", ".join(map(_network, model.leaves)),
        "spacing": " × ".join(f"{mm:g}" for mm in model.spacing) + " mm",
        "threshold": f"{model.threshold:g}, components of at least {model.min_component_mm3:g} mm³",
        "weights": f"SHA-256 {model.sha256}",
        "license": model.licence,
        "trained on": model.trained_on,
        "citation": references.expand(model.citation),
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
        downloads, license_text = {imagenet.NAME: imagenet.fetch}, imagenet.LICENSE
    else:
        model = catalog.load(arguments.model)
        downloads = {card.name: partial(fetch, card) for card in model.leaves}
        license_text = model.licence
    if not arguments.accept_license:
        print(f"License of the weights of {arguments.model}: {license_text}")
        raise UsageError("Run the command again with --accept-license to accept the license.")
    download_all(downloads)
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    from bids_stroke.models import catalog, weights

    model = catalog.load(arguments.model)
    for card in model.leaves:
        number = sum(1 for _ in weights.load_folds(card))
        files = f"{number} file{'s match' if number > 1 else ' matches'}"
        print(f"{card.name}: {files} the model card and the network")
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


def _onnx(arguments: argparse.Namespace) -> int:
    from bids_stroke.models import catalog
    from bids_stroke.models.onnx_export import export_onnx

    for path in export_onnx(catalog.load(arguments.model), arguments.out, arguments.half):
        print(path)
    return 0


def _network(card: "Card") -> str:
    """Return the family of a network and its name within the family."""
    names = [card.network.family, card.network.arguments.get("network")]
    return " ".join(filter(None, names))


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "list": _list,
    "show": _show,
    "fetch": _fetch,
    "verify": _verify,
    "export": _export,
    "search": _search,
    "adapt": _adapt,
    "onnx": _onnx,
}
if __name__ == "__main__":
    sys.exit(main())
