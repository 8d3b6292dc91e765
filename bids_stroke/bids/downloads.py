"""Downloads of corrected masks: their names, and the sessions that their sidecars refer to."""

import gzip
import hashlib
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bids_stroke.errors import DatasetError

from .corrections import (
    CORRECTED,
    MASK_SHA256,
    REFERENCE_IMAGE,
    SOURCE_MASK,
    corrected_mask_name,
    read_sidecar,
)
from .names import REFERENCES, Name, is_label

#: Number that browsers and systems insert into the name of a repeated download, such as `` (1)``.
_NUMBER = r" ?\(\d+\)|[ -]\d+"
_NAME = re.compile(
    rf"(?P<stem>sub-\w[\w+-]*_desc-{CORRECTED}_mask)(?P<first>{_NUMBER})?"
    rf"\.nii(?P<second>{_NUMBER})?(?:\.gz)?"
)


@dataclass(frozen=True)
class Download:
    """Downloaded mask.

    ``stem`` is the name under which the mask was saved, without extension. ``sidecar`` is the path of
    the sidecar with the same number, which may not exist.
    """

    path: Path
    stem: str
    sidecar: Path

    def read_sidecar(self) -> dict[str, Any] | None:
        """Return the content of the sidecar without the checksum of the mask, or None without one.

        The sidecar of a mask has its checksum, whatever numbers the browser inserted into both names.

        Raises
        ------
        DatasetError
            If the sidecar is invalid, or belongs to another download of the session.
        """
        checksum = _checksum(self.path)
        others = sorted(self.path.parent.glob(f"{self.stem}*.json"))
        for path in (self.sidecar, *others):  # several raters may save the same mask
            with suppress(DatasetError):  # missing, or that of another mask, unless it is read below
                if (content := read_sidecar(path)).pop(MASK_SHA256, None) == checksum:
                    return content
        if not self.sidecar.is_file():
            return None
        content = read_sidecar(self.sidecar)
        if content.pop(MASK_SHA256, None):
            raise DatasetError(
                f"{self.path} is not the mask that was saved with {self.sidecar.name}; save the mask "
                "again, or, if another program changed it, remove this sidecar and add --rater NAME."
            )
        return content

    @property
    def session(self) -> str:
        """Name of the session."""
        return Name.parse(self.stem).session_name

    @property
    def space(self) -> str:
        """Contrast of the reference image; empty without one."""
        return Name.parse(self.stem).entities.get("space", "")

    def check_name(self) -> None:
        """Raise a :class:`~bids_stroke.errors.DatasetError` if the name is not that of a correction."""
        entities = Name.parse(self.stem).entities
        labels = entities["sub"] + entities.get("ses", "")
        name = corrected_mask_name(self.session, self.space).removesuffix(".nii.gz")
        if self.space not in REFERENCES or not is_label(labels) or self.stem != name:
            raise DatasetError(
                f"{self.path} is not named like sub-01_space-T1w_label-L_desc-{CORRECTED}_mask.nii.gz; "
                "rename it after its session and its reference image."
            )

    def check_session(self, sidecar: Mapping[str, object]) -> None:
        """Raise a :class:`~bids_stroke.errors.DatasetError` for the sidecar of another session."""
        for key in (REFERENCE_IMAGE, SOURCE_MASK):
            name = str(sidecar.get(key) or self.stem)
            labels, expected = (Name.parse(text).entities for text in (name, self.stem))
            # The names of images may lack ses- if the participant has a single session.
            sessions = {names["ses"] for names in (labels, expected) if "ses" in names}
            if labels.get("sub") != expected["sub"] or len(sessions) > 1:
                raise DatasetError(
                    f"{self.path} is named after {self.session}, but its {key} is {name}; save the "
                    "mask again in the drawing page of its session."
                )


def _checksum(path: Path) -> str:
    """Return the SHA-256 of a mask without compression, which some browsers remove."""
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"{path} is damaged ({error}); save the mask again.") from None


def find_downloads(folder: Path) -> list[Download]:
    """Find the corrected masks in a folder, the oldest first; subfolders are not searched."""
    return sorted(_downloads(folder), key=lambda item: (item.path.stat().st_mtime_ns, item.path.name))


def _downloads(folder: Path) -> Iterator[Download]:
    for path in folder.iterdir():
        match = _NAME.fullmatch(path.name)
        if match and path.is_file():
            number = match["first"] or match["second"] or ""
            yield Download(path, match["stem"], path.with_name(f"{match['stem']}{number}.json"))
