"""Outputs of the comparison of sessions: names, sidecars, images in the midpoint space, figures."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import nibabel as nib
import numpy as np

from bids_stroke.bids import longitudinal
from bids_stroke.bids.derivatives import write_json, write_tsv
from bids_stroke.bids.names import derivative, entity, folder_of, sidecar_of, transform
from bids_stroke.bids.record import role
from bids_stroke.bids.source_datasets import SourceDatasets
from bids_stroke.cohort.longitudinal import (
    COLUMNS,
    Alignment,
    LesionSession,
    change_rows,
    change_table,
    read_components,
)
from bids_stroke.cohort.table import Row
from bids_stroke.evaluation.metrics import dice
from bids_stroke.lesion.changes import match_components
from bids_stroke.reports.figures.flicker import draw_flicker
from bids_stroke.reports.figures.lesion import draw_comparison
from bids_stroke.reports.figures.longitudinal import draw_changes
from bids_stroke.spatial import image, midpoint, transforms
from bids_stroke.spatial.grid import voxel_volume

#: Roles of the outputs of a session.
_IMAGE, _MASK, _TO_MIDPOINT, _FROM_MIDPOINT = "image", "mask", "to_midpoint", "from_midpoint"


class Comparison:
    """Comparison of the sessions of a participant, in the midpoint space of all sessions.

    Images are loaded one after the other, so that memory does not grow with the number of sessions.

    Parameters
    ----------
    sources : SourceDatasets
    subject : str
        ``sub-XX``.
    sessions : sequence of LesionSession
        At least two sessions, in the order in which they are compared.
    """

    def __init__(
        self, sources: SourceDatasets, subject: str, sessions: Sequence[LesionSession]
    ) -> None:
        self._sources, self._out, self._sessions = sources, sources.output_dir, sessions
        anat, figures = folder_of(subject), Path(subject, "figures")
        label, desc = {"label": "L"}, {"desc": longitudinal.DESC}
        self._paths = {
            longitudinal.TABLE: anat / derivative(subject, "morph", ".tsv", **label, **desc),
            longitudinal.PLOT: figures / derivative(subject, "morph", ".svg", **desc),
        }
        space = {"space": longitudinal.SPACE}
        for session in sessions:
            name, reference = session.record.name, str(session.record.reference)
            folder = folder_of(name)
            mask = session.record.require(self._out, "lesion_mask")
            files = {
                _IMAGE: derivative(name, reference, **space, desc="preproc"),
                _MASK: derivative(name, "mask", **space, **label, desc=entity(mask, "desc")),
                _TO_MIDPOINT: transform(name, reference, longitudinal.SPACE, ".mat"),
                _FROM_MIDPOINT: transform(name, longitudinal.SPACE, reference, ".mat"),
            }
            self._paths |= {role(kind, session.session): folder / file for kind, file in files.items()}
        for session in sessions[1:]:
            name, reference = session.record.name, str(session.record.reference)
            for kind in (longitudinal.CONTOURS, longitudinal.ALIGNMENT):
                file = derivative(name, reference, ".svg", **space, desc=kind)
                self._paths[role(kind, session.session)] = figures / file

    @property
    def outputs(self) -> dict[str, str]:
        """Paths of the outputs by role, relative to the output folder."""
        return {name: path.as_posix() for name, path in self._paths.items()}

    def write(self) -> list[Row]:
        """Register the sessions, match the components, and write all outputs; return the rows of the
        table."""
        distances = self._register()
        pairs = zip(pairwise(self._sessions), distances, strict=True)
        rows = [row for pair, distance in pairs for row in self._compare(*pair, distance)]
        table = change_table(rows)
        path = self._path(longitudinal.TABLE)
        write_tsv(table, path)
        write_json(COLUMNS, sidecar_of(path))
        draw_changes(self._sessions, table, self._path(longitudinal.PLOT))
        return rows

    def _path(self, kind: str, session: LesionSession | None = None) -> Path:
        return self._out / self._paths[role(kind, session.session if session else None)]

    def _load(self, kind: str, session: LesionSession) -> nib.Nifti1Image:
        """Load an image of a session on the grid of its reference image."""
        return image.conform(image.load(session.record.require(self._out, kind)))

    def _scan(self, session: LesionSession) -> midpoint.Scan:
        return midpoint.Scan(
            *(self._load(kind, session) for kind in ("image", "brain_mask", "lesion_mask"))
        )

    def _register(self) -> list[float]:
        """Write the transforms, the images and the lesion masks in the midpoint space; return the
        disagreement (mm) of the registrations of each pair."""
        steps = [
            midpoint.register_pair(self._scan(before), self._scan(after))
            for before, after in pairwise(self._sessions)
        ]
        maps = midpoint.midpoint_maps([step.matrix for step in steps])
        brains = (self._load("brain_mask", session) for session in self._sessions)
        grid = midpoint.midpoint_grid(brains, maps)
        for session, matrix in zip(self._sessions, maps, strict=True):
            files = self._path(_TO_MIDPOINT, session), self._path(_FROM_MIDPOINT, session)
            midpoint.write_maps(matrix, *files)
            for path in files:
                write_json({"Sources": self._uris(session, "image")}, sidecar_of(path))
            for kind, source in ((_IMAGE, "image"), (_MASK, "lesion_mask")):
                moved = transforms.apply(
                    self._load(source, session), grid, files[:1], "image" if kind == _IMAGE else "mask"
                )
                path = image.save(moved, self._path(kind, session))
                write_json(self._sidecar(kind, session, source), sidecar_of(path))
        return [step.disagreement_mm for step in steps]

    def _uris(self, session: LesionSession, kind: str) -> list[str]:
        return [self._sources.uri(session.record.require(self._out, kind))]

    def _sidecar(self, kind: str, session: LesionSession, source: str) -> dict[str, object]:
        special = {"SkullStripped": False} if kind == _IMAGE else {"Type": "Lesion"}
        first = self._sources.uri(self._path(_IMAGE, self._sessions[0]))
        return {**special, "SpatialReference": first, "Sources": self._uris(session, source)}

    def _components(self, session: LesionSession) -> np.ndarray:
        """Return the numbers of the components of a session in the midpoint space."""
        labels = read_components(self._out, session)
        record, chain = session.record, [self._path(_TO_MIDPOINT, session)]
        if session.drawn_on != record.reference:
            chain.insert(0, record.require(self._out, "transform_to_reference", session.drawn_on))
        grid = image.open_image(self._path(_IMAGE, session))
        return np.rint(transforms.apply(labels, grid, chain, "labels").dataobj).astype(np.int32)

    def _compare(
        self, before: LesionSession, after: LesionSession, disagreement_mm: float
    ) -> list[Row]:
        """Match the components of two consecutive sessions and draw their figures; return the rows."""
        counts = len(before.volumes_ml), len(after.volumes_ml)
        labels = self._components(before), self._components(after)
        changes = match_components(*labels, counts)
        images = [image.load(self._path(_IMAGE, session)) for session in (before, after)]
        names = before.session, after.session
        brains = [self._moved_brain(session, images[1]) for session in (before, after)]
        masks = [image.like(part > 0, images[1], np.uint8) for part in labels]
        title = f"Lesion in {names[0]} and {names[1]}"
        contours = self._path(longitudinal.CONTOURS, after)
        draw_comparison(images[1], masks[0], masks[1], title, contours, names, brains[1])
        figure = self._path(longitudinal.ALIGNMENT, after)
        draw_flicker(images[0], images[1], figure, brains[1], names, "midpoint")
        alignment = Alignment(disagreement_mm, dice(*(brain.dataobj for brain in brains)))
        return change_rows(before, after, changes, voxel_volume(images[1]) / 1000, alignment)

    def _moved_brain(self, session: LesionSession, grid: nib.Nifti1Image) -> nib.Nifti1Image:
        """Return the brain mask of a session in the midpoint space."""
        chain = [self._path(_TO_MIDPOINT, session)]
        return transforms.apply(self._load("brain_mask", session), grid, chain, "labels")
