"""Settings of a run: a frozen dataclass that is checked once."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from bids_stroke.errors import DatasetError, ResourceError, UsageError

LEVELS = ("participant", "group")
DEVICES = ("auto", "cpu", "cuda")
SPACES = ("MNI152NLin2009aSym",)
ORIENTATIONS = ("RAS", "LAS")
BRAIN_EXTRACTIONS = ("hd-bet", "deepbet", "none")
NORMALIZATIONS = ("enantiomorphic", "masked")
WORSE = ("higher", "lower")
DEFAULT_MODEL = "simstroke"
DEFAULT_TRACT = "juelich-cst"
NNUNET = "nnunet:"  # prefix of the folder of an nnU-Net, as a model


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Options of a run, with their defaults.

    Paths are absolute. ``mem_mb`` and ``nprocs`` are totals. ``omp_nthreads`` is the number of threads
    of one session; with None, the cores are divided among the sessions. ``command`` is the command
    line.
    """

    bids_dir: Path
    output_dir: Path
    level: str
    work_dir: Path
    participant_label: tuple[str, ...] = ()
    session_label: tuple[str, ...] = ()
    bids_filters: dict[str, dict[str, object]]
    bids_filter_file: Path | None = None
    bids_database_dir: Path | None = None
    skip_bids_validation: bool = False
    model: str = DEFAULT_MODEL
    brain_extraction: str = "hd-bet"
    mirror: bool = False
    derivatives: tuple[Path, ...] = ()
    lesion_derivatives: Path | None = None
    corrections: Path | None = None
    assume_orientation: str | None = None
    tracts: tuple[str, ...] = (DEFAULT_TRACT,)
    cutoffs_ml: tuple[float, float] | None = None
    atlases: tuple[tuple[Path, Path], ...] = ()
    normalization: str = NORMALIZATIONS[0]
    output_spaces: tuple[str, ...] = SPACES
    device: str = "auto"
    nprocs: int = 1
    omp_nthreads: int | None = None
    mem_mb: int = 8000
    plugin_file: Path | None = None
    stop_on_first_crash: bool = False
    strict: bool = False
    deterministic: bool = False
    reports_only: bool = False
    config_file: Path | None = None
    write_graph: bool = False
    report_viewer: bool = False
    clean_workdir: bool = False
    dry_run: bool = False
    verbose: int = 0
    group_by: str | None = None
    ground_truth: Path | None = None
    qc_ratings: tuple[Path, ...] = ()
    outcomes: tuple[str, ...] = ()
    covariates: tuple[str, ...] = ()
    phenotype: Path | None = None
    worse: str | None = None
    flip_to: str | None = None
    min_overlap: int | None = None
    permutations: int = 1000
    tfce: bool = False
    command: str = field(default="", compare=False)

    def check(self) -> None:
        """Check the options and the folders before the run starts.

        Raises
        ------
        DatasetError, ResourceError, UsageError
            If an option or a folder cannot be used; the message names it and what to do.
        """
        self._check_folders()
        if self.cutoffs_ml and not 0 < self.cutoffs_ml[0] <= self.cutoffs_ml[1]:
            lower, upper = self.cutoffs_ml
            raise UsageError(
                f"--cutoffs {lower:g} {upper:g} is invalid; give two positive values, the lower first."
            )
        if self.output_dir.resolve() == self.bids_dir.resolve():
            raise UsageError(
                f"{self.output_dir} is the BIDS dataset itself; choose another output folder, such "
                f"as {self.bids_dir / 'derivatives' / 'bids_stroke'}."
            )
        if self.corrections and self.output_dir.resolve() == self.corrections.resolve():
            raise UsageError(
                f"{self.corrections} is the output folder of this run; give the dataset of "
                "bids_stroke-review collect with --corrections."
            )
        for folder in () if self.dry_run else (self.output_dir, self.work_dir):
            _check_writable(folder)

    def _check_folders(self) -> None:
        """Check the input folders and files."""
        if not self.reports_only:  # reports need only the derivatives
            _check_folder(self.bids_dir, "give the root folder of a BIDS dataset")
            if self.level == "participant":
                self._check_dataset()
        for folder in self.derivatives:
            _check_folder(folder, "check --derivatives")
        if self.lesion_derivatives:
            _check_folder(self.lesion_derivatives, "check --lesion-derivatives")
        if self.corrections:
            _check_folder(self.corrections, "check --corrections")
        if self.ground_truth:
            _check_folder(self.ground_truth, "check --ground-truth")
        if self.bids_database_dir and self.bids_database_dir.exists():  # otherwise it is created
            _check_folder(self.bids_database_dir, "check --bids-database-dir")
        files = [
            ("--phenotype", self.phenotype),
            ("--plugin-file", self.plugin_file),
            *(("--qc-ratings", path) for path in self.qc_ratings),
        ]
        for option, path in files:
            if path and not path.is_file():
                raise UsageError(f"{path} does not exist or is not a file; check {option}.")

    def _check_dataset(self) -> None:
        """Check ``dataset_description.json``."""
        description = self.bids_dir / "dataset_description.json"
        if self.skip_bids_validation:
            return
        if not description.is_file():
            raise DatasetError(
                f"{self.bids_dir} has no dataset_description.json, so it is not a BIDS dataset; add "
                "the file, or use --skip-bids-validation."
            )
        try:
            content = json.loads(description.read_text(encoding="utf-8-sig"))
        except (OSError, ValueError, RecursionError) as error:
            raise DatasetError(f"{description} is not valid JSON ({error}); fix the file.") from None
        if not isinstance(content, dict) or not {"Name", "BIDSVersion"} <= content.keys():
            raise DatasetError(f"{description} has no Name or no BIDSVersion; add the missing field.")


def _check_folder(folder: Path, advice: str) -> None:
    if not folder.is_dir():
        raise UsageError(f"{folder} does not exist or is not a folder; {advice}.")


def _check_writable(folder: Path) -> None:
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise ResourceError(
            f"{folder} cannot be written to; choose another folder or fix its permissions."
        )
