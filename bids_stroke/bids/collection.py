"""Collect corrected masks from a folder of downloads in a dataset of corrections.

:mod:`bids_stroke.bids.corrections` describes the dataset.
"""

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from bids_stroke import __version__
from bids_stroke.errors import DatasetError, ImageError, StrokeError, UsageError
from bids_stroke.spatial import grid, headers, image, masks
from bids_stroke.utils import files
from bids_stroke.utils.files import PathLike

from . import record
from .corrections import (
    CORRECTED,
    DATE,
    OTHER_VERSIONS,
    PROGRAM,
    RATER,
    REFERENCE_AFFINE,
    REFERENCE_IMAGE,
    REFERENCE_SHAPE,
    SOURCE_MASK,
    SOURCE_MASK_SHA256,
    Version,
    corrected_mask_name,
    is_collected,
    names_image,
    rater_name,
    read_sidecar,
    version_of,
)
from .derivatives import write_json
from .downloads import Download, find_downloads
from .names import Name, derivative, entity, folder_of, sidecar_of
from .source_datasets import DESCRIPTION

_README = (
    "Lesion masks that raters corrected, collected by bids_stroke-review. Use them with\n"
    "bids_stroke BIDS OUT participant --corrections THIS_FOLDER. The folder sourcedata contains every\n"
    "version of each mask.\n"
)


@dataclass(frozen=True)
class Collection:
    """Result of a collection.

    ``collected`` has a sentence for each new version, ``notes`` are sentences for the user, and
    ``refused`` has a sentence for each mask that is not used.
    """

    collected: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


class Collector:
    """Collect the corrected masks of a folder.

    Parameters
    ----------
    corrections : path
        Dataset of corrections, which is created if it does not exist.
    derivatives : path, optional
        Output folder of bids_stroke with the sessions of the masks; default: the grid of a mask is
        compared with that in its sidecar.
    rater : str, optional
        Rater of masks without sidecar.
    preferred : str, optional
        Rater whose newest version is used instead of the newest version of all raters.
    allow_empty : bool
        Whether to accept masks without a lesion.

    Raises
    ------
    UsageError
        If the folder of ``corrections`` contains another dataset.
    """

    def __init__(
        self,
        corrections: PathLike,
        derivatives: PathLike | None = None,
        rater: str | None = None,
        preferred: str | None = None,
        allow_empty: bool = False,
    ) -> None:
        self._folder = Path(corrections)
        self._derivatives = Path(derivatives) if derivatives else None
        self._rater, self._preferred = rater_name(rater or ""), rater_name(preferred or "")
        self._allow_empty = allow_empty
        self._result = Collection()
        _check_dataset(self._folder)

    def collect(self, downloads: PathLike) -> Collection:
        """Collect the masks of a folder; a mask that cannot be used does not stop the others.

        Raises
        ------
        DatasetError
            If the folder contains no corrected mask.
        """
        masks_to_collect = find_downloads(Path(downloads))
        if not masks_to_collect:
            raise DatasetError(
                f"{downloads} contains no corrected mask (sub-*_desc-{CORRECTED}_mask.nii.gz); check "
                "the path."
            )
        _write_dataset_files(self._folder)
        accepted = [item.session for item in masks_to_collect if self._accept(item)]
        for session in dict.fromkeys([*accepted, *self._sessions_of_preferred()]):
            self._use(session)
        return self._result

    def _accept(self, download: Download) -> bool:
        """File a download as a version; return whether it belongs to the dataset."""
        try:
            download.check_name()
            content = self._sidecar(download)
            reference = self._reference(download, content)
            self._file(download, content, self._mask(download, reference))
        except (StrokeError, OSError) as error:
            self._result.refused.append(str(error))
            return False
        return True

    def _sidecar(self, download: Download) -> dict[str, Any]:
        """Return the sidecar of a download, or create that of a mask of another software."""
        path = download.path
        if content := download.read_sidecar():
            download.check_session(content)
            return content
        if not self._rater:
            raise DatasetError(f"{path} has no sidecar with its rater; add --rater NAME.")
        date = datetime.fromtimestamp(int(path.stat().st_mtime), UTC)
        self._note(f"{path} has no sidecar: the rater is {self._rater}, and the date that of the file.")
        return {RATER: self._rater, DATE: date.isoformat()}

    def _reference(self, download: Download, content: Mapping[str, Any]) -> nib.Nifti1Image:
        """Return an image on the grid of the reference image of the session."""
        if self._derivatives:
            return self._reference_in(self._derivatives, download, content)
        try:
            shape = tuple(int(number) for number in content[REFERENCE_SHAPE])
            affine = np.asarray(content[REFERENCE_AFFINE], float)
            if len(shape) != 3 or min(shape) < 1 or not headers.is_usable_affine(affine):
                raise ValueError("not of an image")
            return grid.blank(shape, affine)
        except (KeyError, TypeError, ValueError, OverflowError):
            raise DatasetError(
                f"{download.path} has no sidecar with its grid (ReferenceShape, ReferenceAffine); add "
                "--derivatives with the output folder of bids_stroke."
            ) from None

    def _reference_in(
        self, folder: Path, download: Download, content: Mapping[str, Any]
    ) -> nib.Nifti1Image:
        """Return the lesion mask of the session in an output folder of bids_stroke."""
        session = record.read(folder, download.session)
        path = session.path(folder, "lesion_mask") if session else None
        if session is None or path is None or session.reference != download.space:
            raise DatasetError(
                f"{download.path} belongs to {download.session} with the reference image "
                f"{download.space}, which {folder} does not have; check its name and --derivatives."
            )
        name, drawn_on = session.inputs.get(download.space), content.get(REFERENCE_IMAGE)
        if name and drawn_on and not names_image(str(drawn_on), name):
            raise DatasetError(
                f"{download.path} was drawn on {drawn_on}, but the reference image of "
                f"{download.session} is {Path(name).name}; correct the mask on this image."
            )
        source = path.with_name(Path(str(content.get(SOURCE_MASK) or path.name)).name)
        earlier = content.get(SOURCE_MASK_SHA256)
        if earlier and source.is_file() and files.checksum(source) != earlier:
            self._note(f"{download.path} was made from an earlier version of {source.name}.")
        return image.load(path)

    def _mask(self, download: Download, reference: nib.Nifti1Image) -> nib.Nifti1Image:
        """Read a mask, on the grid and in the axis order of the reference image."""
        supplied = masks.binarize(image.load_supplied(download.path))
        name = f"the {download.space} of {download.session}"
        mask = image.restore(grid.fit_to_grid(supplied, reference, name), reference)
        if not np.any(mask.dataobj) and not self._allow_empty:
            raise ImageError(
                f"{download.path} is empty; draw the lesion, or add --allow-empty if there is none."
            )
        return mask

    def _file(self, download: Download, content: dict[str, Any], mask: nib.Nifti1Image) -> None:
        """Write a version of a mask unless it exists already."""
        version = version_of(content)
        path = self._version_path(download, version)
        if path.is_file():
            if np.array_equal(image.load(path).dataobj, mask.dataobj):
                return
            raise DatasetError(
                f"{download.path} differs from {path}, which has the same rater and date; correct the "
                "date in its sidecar."
            )
        reference = str(content.get(REFERENCE_IMAGE) or f"{download.session}_{download.space}.nii.gz")
        more = {"Type": "Lesion", "SpatialReference": reference}
        write_json({**content, **more}, sidecar_of(path))
        image.save(mask, path)
        volume = np.count_nonzero(mask.dataobj) * grid.voxel_volume(mask) / 1000
        self._result.collected.append(f"{download.session}: {version}, {volume:.3g} ml")

    def _version_path(self, download: Download, version: Version) -> Path:
        rater = re.sub("[^A-Za-z0-9]", "", version.rater)
        entities = {"space": download.space, "label": "L"}
        desc = f"{CORRECTED}{version.date:%Y%m%dT%H%M%S}{rater}"
        name = derivative(download.session, "mask", desc=desc, **entities)
        return self._folder / "sourcedata" / folder_of(download.session) / name

    def _sessions_of_preferred(self) -> list[str]:
        """Return the sessions with a version of the preferred rater."""
        if not self._preferred:
            return []
        paths = sorted((self._folder / "sourcedata").rglob("sub-*_mask.nii.gz"))
        raters = {path: version_of(read_sidecar(sidecar_of(path))).rater for path in paths}
        if self._preferred not in raters.values():
            self._result.refused.append(
                f"{self._folder} contains no mask of {self._preferred}, only of "
                f"{', '.join(sorted(set(raters.values()))) or 'nobody'}; check --use-rater."
            )
        return [Name.parse(path).session_name for path in paths if raters[path] == self._preferred]

    def _use(self, session: str) -> None:
        """Put the newest version of the mask of a session, or that of the preferred rater, into use.

        Versions may be on several images of the session, if its reference image has changed.
        """
        folder = folder_of(session)
        paths = (self._folder / "sourcedata" / folder).glob(f"*_desc-{CORRECTED}*_mask.nii.gz")
        contents = {path: read_sidecar(sidecar_of(path)) for path in sorted(paths)}
        versions = {path: version_of(content) for path, content in contents.items()}
        preferred = [path for path in versions if versions[path].rater == self._preferred]
        used = max(preferred or versions, key=lambda path: versions[path].date)
        target = self._folder / folder / corrected_mask_name(session, entity(used, "space") or "")
        for path in set(target.parent.glob(f"*_desc-{CORRECTED}_mask.*")) - {
            target,
            sidecar_of(target),
        }:
            path.unlink()
        others = [version for path, version in versions.items() if path != used]
        listed = [{RATER: other.rater, DATE: other.date.isoformat()} for other in others]
        with files.atomic(target) as partial:
            shutil.copyfile(used, partial)
        write_json({**contents[used], OTHER_VERSIONS: listed}, sidecar_of(target))
        if others := [version for version in others if version.rater != versions[used].rater]:
            self._note(_choice(session, versions[used], others, bool(preferred)))

    def _note(self, sentence: str) -> None:
        self._result.notes.append(sentence)


def _choice(session: str, used: Version, others: Sequence[Version], preferred: bool) -> str:
    """Return the sentence on a session that several raters corrected."""
    reason = "" if preferred else ", the newest"
    return (
        f"{session} was also corrected by {', '.join(map(str, others))}; the mask of {used}{reason}, "
        "is used (choose another rater with --use-rater)."
    )


def _check_dataset(folder: Path) -> None:
    """Raise an error if a folder is neither empty nor a dataset of corrections."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not is_collected(folder):
        raise UsageError(f"{folder} contains other files than corrections; choose another folder.")


def _write_dataset_files(folder: Path) -> None:
    """Write the description of the dataset."""
    description = {
        "Name": "Corrected lesion masks",
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": PROGRAM, "Version": __version__}],
    }
    write_json(description, folder / DESCRIPTION)
    text = f"desc_id\tdescription\ndesc-{CORRECTED}\tLesion mask of a model, corrected by a rater.\n"
    for name, content in (("descriptions.tsv", text), ("README", _README)):
        with files.atomic(folder / name) as partial:
            partial.write_text(content)
