"""Methods text: descriptions of the workflows, with versions, references and licenses."""

import re
from collections.abc import Sequence
from pathlib import Path

import yaml

from bids_stroke import __version__
from bids_stroke.atlases import super_regions, tract_cards
from bids_stroke.bids.record import Record, read_all
from bids_stroke.data import DATA
from bids_stroke.errors import StrokeError
from bids_stroke.models import catalog
from bids_stroke.utils.files import PathLike, atomic

_REFERENCES = DATA / "references.yaml"
_KEY = re.compile(r"\[@([\w-]+)\]")


def write(output_dir: PathLike) -> Path | None:
    """Write ``CITATION.md`` from the records of all sessions; return None if there are no records.

    The file is not rewritten if the text is unchanged.
    """
    records = [record for record in read_all(output_dir) if record.description]
    if not records:
        return None
    path = Path(output_dir) / "CITATION.md"
    text = compose(records)
    if not path.is_file() or path.read_text() != text:
        with atomic(path) as partial:
            partial.write_text(text)
    return path


def compose(records: Sequence[Record]) -> str:
    """Compose the text: processing steps by session, with numbered references."""
    texts: dict[str, list[str]] = {}
    for record in records:
        texts.setdefault(record.description, []).append(record.name)
    references = yaml.safe_load(_REFERENCES.read_text())
    tract = tract_cards.load_card()
    references["tract"] = " ".join(f"{tract.citation} {tract.licence}".split())
    license_text = super_regions.super_regions_card().licence
    references["talairach"] = " ".join(f"{references['talairach']} {license_text}".split())
    keys = ["bids_stroke", "nipype"]
    start = f"Images were processed with bids_stroke {__version__} [1], which is based on Nipype [2]."
    paragraphs = []
    for description, names in texts.items():
        body = _KEY.sub(lambda match: f"[{_number(match[1], keys)}]", description)
        subjects = "" if len(texts) == 1 else f" ({', '.join(names)})"
        paragraphs.append(f"{start}{subjects} {body}")
    versions = {name: value for record in records for name, value in record.versions.items()}
    lines = [
        "# Methods\n",
        "\n\n".join(paragraphs),
        "\n## Model and software\n",
        *sorted(
            {
                _model(record.model, record.weights_sha256)
                for record in records
                if record.model and record.weights_sha256
            }
        ),
        *(f"- {name} {value}" for name, value in sorted(versions.items())),
        "\n## References\n",
        *(f"{i}. {references[key]}" for i, key in enumerate(keys, 1)),
    ]
    return "\n".join(lines) + "\n"


def _number(key: str, keys: list[str]) -> int:
    """Return the number of a reference; new references are added to ``keys``."""
    if key not in keys:
        keys.append(key)
    return keys.index(key) + 1


def _model(name: str, weights_sha256: str) -> str:
    """Describe a model, with license and citation if its card is in the catalog."""
    line = f"- model {name}, weights {weights_sha256[:12]}"
    try:
        card = catalog.load(name)
    except StrokeError:  # a card that was specified by path
        return line
    return f"{line}, license {card.licence}: {' '.join(card.citation.split())}"
