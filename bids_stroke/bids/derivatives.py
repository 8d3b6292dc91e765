"""Write BIDS derivatives: tables, sidecars and dataset files."""

import json
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import pandas as pd

from bids_stroke import __version__
from bids_stroke.utils import files
from bids_stroke.utils.files import PathLike

from .corrections import CORRECTED
from .names import CONTRASTS, description_of
from .source_datasets import DESCRIPTION, SourceDatasets, links_in


def write_json(content: object, path: PathLike) -> Path:
    """Write JSON atomically."""
    with files.atomic(path) as partial:
        partial.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    return Path(path)


def write_described(table: pd.DataFrame | None, columns: object, stem: Path) -> None:
    """Write a table and its JSON sidecar, or remove those of an earlier run.

    Parameters
    ----------
    table : pandas.DataFrame or None
    columns : object
        Descriptions of the columns.
    stem : Path
        Path without extension.
    """
    paths = stem.with_name(f"{stem.name}.tsv"), stem.with_name(f"{stem.name}.json")
    if table is None:
        for path in paths:
            path.unlink(missing_ok=True)
        return
    write_tsv(table, paths[0])
    write_json(columns, paths[1])


def write_tsv(table: pd.DataFrame, path: PathLike) -> Path:
    """Write a table in BIDS format: tabs, ``n/a`` for missing values, up to six significant digits."""
    with files.atomic(path) as partial:
        table.to_csv(partial, sep="\t", na_rep="n/a", index=False, float_format="%.6g")
    return Path(path)


#: Patterns of the outputs that the BIDS validator does not know.
IGNORED = (
    "*_xfm.*",
    "*_morph.*",
    "*_TRACE.*",
    "*_ADC.*",
    "*.html",
    "evaluation",
    "figures",
    "logs",
    "work",
    "group_*",
    "CITATION.md",
    "CITATION.bib",
)


def _format_contrasts(contrasts: Sequence[str]) -> str:
    *first, last = contrasts
    return f"{', '.join(first)} and {last} images" if first else f"{last} image"


#: Meaning of each ``desc`` entity of the derivatives.
DESCRIPTIONS = {
    "desc-preproc": "Bias-corrected image (N4), on the grid of the raw image or of its space entity.",
    "desc-brain": "Brain mask.",
    **{
        f"desc-{description_of(contrasts)}": f"Lesion segmented on the {_format_contrasts(contrasts)}."
        for number in range(1, len(CONTRASTS) + 1)
        for contrasts in combinations(CONTRASTS, number)
    },
    "desc-lesionfilled": (
        "Bias-corrected image (N4), lesion filled with mirrored tissue, on the grid of the raw image."
    ),
    "desc-ownlesion": "Lesion mask supplied by the user.",
    f"desc-{CORRECTED}": "Lesion mask of a model, corrected by a rater.",
    "desc-agreement": "Agreement of the lesion mask of the model with the corrected mask.",
    "desc-quality": "Image quality measures of the session.",
    "desc-longitudinal": "Changes of the lesion between the sessions of a participant.",
}


def write_dataset_files(sources: SourceDatasets) -> None:
    """Write the top-level files of a derivatives dataset; unchanged files are not rewritten."""
    output_dir = sources.output_dir
    description = {
        "Name": "bids_stroke: stroke lesion masks, volumes and tract loads",
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "License": "The terms of the source dataset apply.",
        "HowToAcknowledge": "See CITATION.md.",
        "GeneratedBy": [{"Name": "bids_stroke", "Version": __version__}],
        **sources.describe(links_in(output_dir)),
    }
    rows = "".join(f"{key}\t{text}\n" for key, text in DESCRIPTIONS.items())
    contents = {
        DESCRIPTION: json.dumps(description, indent=2, ensure_ascii=False) + "\n",
        ".bidsignore": "\n".join(IGNORED) + "\n",
        "descriptions.tsv": "desc_id\tdescription\n" + rows,
        "README": (
            "Lesion masks, probabilities, volumes and tract loads by bids_stroke.\n"
            "Open the sub-*.html files to check every mask, and group.html for the cohort.\n"
        ),
    }
    for name, text in contents.items():
        path = output_dir / name
        if not path.is_file() or path.read_text() != text:
            with files.atomic(path) as partial:
                partial.write_text(text)
