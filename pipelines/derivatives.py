"""Names, sidecars and roles of the derivatives of a session."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nipype.pipeline.engine import Node

from bids_stroke.atlases.maps import Maps
from bids_stroke.bids.corrections import CORRECTED, DATE, RATER
from bids_stroke.bids.names import derivative, description_of, transform
from bids_stroke.bids.record import role
from bids_stroke.bids.sessions import Session
from bids_stroke.bids.source_datasets import SourceDatasets
from bids_stroke.interfaces.bids import Sink, SinkTables
from bids_stroke.lesion import measurements
from bids_stroke.models.card import Card
from bids_stroke.models.ensembles import Ensemble
from bids_stroke.spatial.templates import TEMPLATE


class Derivatives:
    """Names and sidecars of the derivatives of one session.

    This class creates all sinks. ``outputs`` collects the path of each derivative by its role.

    Parameters
    ----------
    session : Session
    card : Card, Ensemble or None
        None for a session with a user-supplied lesion mask.
    contrasts : sequence of str
        Contrasts that the model uses.
    maps : Maps
    sources : SourceDatasets
    orientation : {"RAS", "LAS"} or None
        Assumed orientation of raw images whose headers define none.
    """

    def __init__(
        self,
        *,
        session: Session,
        card: Card | Ensemble | None,
        contrasts: Sequence[str],
        maps: Maps,
        sources: SourceDatasets,
        orientation: str | None = None,
    ) -> None:
        self.session, self.card, self.maps = session, card, maps
        self._sources = sources
        self.orientation = orientation
        self.has_probability = card is not None and session.correction is None
        self.model_desc = description_of(contrasts)
        self.desc = CORRECTED if session.correction else self.model_desc
        self.used = [session.images[contrast] for contrast in contrasts]
        self.folder = sources.output_dir / session.folder
        self.figures = sources.output_dir / session.participant / "figures"
        self.outputs: dict[str, Path] = {}

    def path(self, suffix: str, extension: str = ".nii.gz", **entities: str) -> Path:
        """Return the path of a derivative."""
        return self.folder / derivative(self.session.name, suffix, extension, **entities)

    def figure(self, desc: str, suffix: str, **entities: str) -> Path:
        """Return the path of a figure."""
        return self.figures / derivative(self.session.name, suffix, ".svg", desc=desc, **entities)

    def sources(self, *paths: Path) -> list[str]:
        """Return the BIDS URIs of files."""
        return list(map(self._sources.uri, paths))

    def reference_uri(self, contrast: str) -> str:
        """Return the ``SpatialReference`` of a space that is not a template."""
        return self.sources(self.session.images[contrast])[0]

    def brain(self, **more: Any) -> dict[str, Any]:
        """Return the sidecar of a brain mask."""
        sources = self.sources(self.session.images[self.session.reference])
        return {"Type": "Brain", "RawSources": sources, "Sources": sources, **more}

    def lesion(self, **more: Any) -> dict[str, Any]:
        """Return the sidecar of a lesion mask or probability map."""
        correction = self.session.correction
        if correction:
            more = {RATER: correction.rater, DATE: correction.date, **more}
        if self.session.lesion:
            return {"Type": "Lesion", "Sources": self.sources(self.session.lesion.path), **more}
        return self.model_lesion(**more)

    def model_lesion(self, **more: Any) -> dict[str, Any]:
        """Return the sidecar of a lesion mask or probability map of the model."""
        assert self.card is not None
        return {
            "Type": "Lesion",
            "Sources": self.sources(*self.used),
            "Threshold": self.card.threshold,
            "MinimumComponentVolume": self.card.min_component_mm3,
            "Model": self.card.name,
            "ModelWeightsSHA256": self.card.sha256,
            **more,
        }

    def sink(
        self,
        name: str,
        kind: str,
        path: Path,
        metadata: dict[str, Any] | None = None,
        *,
        place: str | None = None,
        raw: Path | None = None,
    ) -> Node:
        """Create the node ``ds_<name>``, which writes a derivative under its final name.

        Parameters
        ----------
        kind, place : str
            Role of the derivative, see :func:`bids_stroke.bids.record.role`.
        metadata : dict, optional
            JSON sidecar.
        raw : Path, optional
            Raw image that defines the axis order of the derivative.
        """
        node = Node(Sink(out_file=str(path), metadata=metadata or {}), name=f"ds_{name}")
        if raw:
            node.inputs.raw, node.inputs.orientation = str(raw), self.orientation
        self.outputs[role(kind, place)] = path
        return node

    def brain_sink(
        self,
        entities: dict[str, str],
        metadata: dict[str, Any],
        *,
        place: str | None = None,
        raw: Path | None = None,
    ) -> Node:
        """Create the sink of the brain mask."""
        path = self.path("mask", **entities, desc="brain")
        return self.sink("brain", "brain_mask", path, self.brain(**metadata), place=place, raw=raw)

    def image_sink(
        self,
        contrast: str,
        entities: dict[str, str],
        metadata: dict[str, Any],
        *,
        place: str | None = None,
        raw: Path | None = None,
    ) -> Node:
        """Create the sink of a bias-corrected image."""
        path = self.path(contrast, **entities, desc="preproc")
        return self.sink("preproc", "image", path, metadata, place=place, raw=raw)

    def transform_sinks(
        self,
        spaces: Mapping[str, tuple[str, str]],
        extension: str,
        metadata: dict[str, Any],
        *,
        place: str,
    ) -> dict[str, Node]:
        """Create the sinks of transforms; ``spaces`` maps each to its source and target space."""
        return {
            field: self.sink(
                field,
                f"transform_{field}",
                self.folder / transform(self.session.name, source, target, extension),
                metadata,
                place=place,
            )
            for field, (source, target) in spaces.items()
        }

    def components_sink(self, space: str, *, place: str | None = None) -> Node:
        """Create the sink of the table of components, measured on the grid of ``space``."""
        path = self.path("morph", ".tsv", space=space, label="L", desc=self.desc)
        return self.sink("components", "components", path, measurements.COLUMNS, place=place)

    def lesion_sinks(
        self,
        entities: dict[str, str],
        metadata: dict[str, Any],
        *,
        place: str | None = None,
        raw: Path | None = None,
    ) -> dict[str, Node]:
        """Create the sinks of the lesion mask and, if available, its probability map."""
        sidecar = self.lesion(**metadata)
        kinds = {"lesion": ("lesion_mask", "mask")}
        if self.has_probability:
            kinds["probability"] = ("lesion_probability", "probseg")
        return {
            field: self.sink(field, kind, self.path(suffix, **entities), sidecar, place=place, raw=raw)
            for field, (kind, suffix) in kinds.items()
        }

    def table_sink(self) -> Node:
        """Create the sink of the tables of tracts and atlases."""
        columns = self.maps.columns
        tracts = {card.atlas for card in self.maps.cards}
        entities = {"space": TEMPLATE, "label": "L", "desc": self.desc}
        paths = {label: self.path("morph", ".tsv", atlas=label, **entities) for label in columns}
        for label, path in paths.items():
            self.outputs[role("loads" if label in tracts else "regions", label)] = path
        return Node(
            SinkTables(out_file=list(map(str, paths.values())), metadata=list(columns.values())),
            name="ds_tables",
        )
