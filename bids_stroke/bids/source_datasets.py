"""Source datasets of derivatives: their identification, and the URIs of their files."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bids_stroke.utils.files import PathLike

DESCRIPTION = "dataset_description.json"
_DOI = re.compile(r"10\.\d{4,9}/[^\s\"<>]+")


@dataclass(frozen=True)
class SourceDatasets:
    """Source datasets of the derivatives in ``output_dir``.

    Names and URIs do not depend on where a dataset is mounted: paths in a container are arbitrary.

    Attributes
    ----------
    bids_dir, output_dir : Path
    lesion_derivatives : Path or None
        Dataset with user-supplied lesion masks.
    corrections : Path or None
        Dataset with corrected lesion masks.
    """

    bids_dir: Path
    output_dir: Path
    lesion_derivatives: Path | None = None
    corrections: Path | None = None

    @property
    def roots(self) -> dict[str, Path]:
        """Folders of the datasets by the names of their dataset links."""
        masks = {"masks": self.lesion_derivatives, "corrections": self.corrections}
        outside = {
            name: folder
            for name, folder in masks.items()
            if folder and not folder.is_relative_to(self.bids_dir)
        }
        return {"raw": self.bids_dir, **outside}

    def uri(self, path: PathLike) -> str:
        """Return the BIDS URI of a source file (``bids:raw:``) or derivative (``bids::``).

        For any other file, the file name is returned.
        """
        path = Path(path)
        starts = {root: f"bids:{name}:" for name, root in self.roots.items()}
        # The folders may be nested: the innermost folder comes first.
        for root, start in sorted({**starts, self.output_dir: "bids::"}.items(), reverse=True):
            if path.is_relative_to(root):
                return start + path.relative_to(root).as_posix()
        return path.name

    def describe(self, existing: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return ``SourceDatasets`` and ``DatasetLinks`` for the description of the derivatives.

        A link is the path relative to ``output_dir`` if one exists, otherwise the DOI, otherwise the
        link in ``existing``.

        Parameters
        ----------
        existing : mapping of str to str, optional
            Links in the present description.
        """
        links = {name: link for name, link in (existing or {}).items() if not link.startswith("file:")}
        sources = []
        for name, root in self.roots.items():
            content, relative = _read_description(root), _relative(root, self.output_dir)
            doi = _doi(content)
            url = f"https://doi.org/{doi.removeprefix('doi:')}" if doi else relative
            source = {"Name": content.get("Name"), "URL": url, "DOI": doi}
            sources.append({key: value for key, value in source.items() if value})
            if link := relative or doi:
                links[name] = link
        return {"SourceDatasets": list(filter(None, sources)), "DatasetLinks": links}


def links_in(folder: PathLike) -> dict[str, str]:
    """Return the ``DatasetLinks`` in the description of a dataset; empty without them."""
    links = _read_description(Path(folder)).get("DatasetLinks")
    items = links.items() if isinstance(links, dict) else ()
    return {name: link for name, link in items if isinstance(link, str)}


def _read_description(folder: Path) -> dict[str, Any]:
    try:
        content = json.loads((folder / DESCRIPTION).read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError):  # the settings check the file if it is needed
        return {}
    return content if isinstance(content, dict) else {}


def _doi(content: Mapping[str, Any]) -> str | None:
    match = _DOI.search(str(content.get("DatasetDOI", "")))
    return f"doi:{match[0]}" if match else None


def _relative(folder: Path, start: Path) -> str | None:
    """Return the path of a folder relative to another.

    The result is None for folders on different file systems, such as the mounts of a container, where
    the relative path is valid only in that container.
    """
    folder, start = folder.resolve(), start.resolve()
    common = Path(os.path.commonpath([folder, start]))
    if common in (folder, start) or len({*map(_device, (folder, start, common))}) == 1:
        return Path(os.path.relpath(folder, start)).as_posix()
    return None


def _device(path: Path) -> int:
    """Return the file system of a folder, which need not exist yet."""
    existing = next(folder for folder in (path, *path.parents) if folder.exists())
    return existing.stat().st_dev
