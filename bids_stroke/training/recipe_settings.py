"""Settings of a training, as dataclasses; :mod:`bids_stroke.training.recipes` reads them from YAML."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from bids_stroke.models.card import Network

#: A section whose keys are defined elsewhere: the ranges of the simulator (``simulation``), the fields
#: of a model card (``models.card``), and the content of a whole file.
Section: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Input:
    """Contrasts that a network is shown together, and how often (relative to the other inputs)."""

    contrasts: Sequence[str]
    share: float


@dataclass(frozen=True)
class MirrorError:
    """Error of the mid-plane about which the mirrored channels of a sample are reflected.

    Attributes
    ----------
    rotation, shift : float
        Standard deviations of the usual error (degrees, mm).
    wrong : float
        Chance of a failed alignment, ten times as far off.
    absent : float
        Chance that the mirrored channels are zero.
    """

    rotation: float
    shift: float
    wrong: float
    absent: float


@dataclass(frozen=True)
class LesionWeights:
    """Weights of lesion voxels in the loss.

    ``floor`` is the weight of a voxel that no shown contrast displays. Weights grow as (10 ml / volume
    of the lesion) to ``power``, up to ``limit``; 0 counts every voxel alike, 1 every lesion.
    """

    floor: float
    power: float
    limit: float


@dataclass(frozen=True)
class SimulationTraining:
    """Optimization of a training on simulated strokes.

    ``decay_minutes`` is the duration of a decay of the learning rate to zero.
    """

    decay_minutes: float
    batch: int
    reuse: int
    threads: int
    workers: int
    learning_rate: float
    weight_decay: float
    warmup_steps: int
    clip: float
    dice_smoothing: float
    ema_decay: float
    validation_samples: int
    validation_every: int
    lesion_weights: LesionWeights


@dataclass(frozen=True, kw_only=True)
class SimulationRecipe:
    """A training on simulated strokes.

    Attributes
    ----------
    sources, held_out : dict
        By kind (``heads``, ``lesions``): folders of files, and which of them are held out.
    spacing : float
        Side of a voxel (mm).
    tile : sequence of int
        Voxels of a sample.
    channels : sequence of str
        Contrasts of the network, in order.
    mirror : MirrorError, optional
        The network also receives each channel reflected about the mid-plane.
    initial : str, optional
        Model to start from, adapted to the recipe's network; random weights without it.
    split : dict of str to str
        Part (``training``, ``validation``, ``test``) of each file (``folder/name``). Files that it does
        not list are training files.
    sample_seed : int
        Seed of the samples.
    """

    seed: int
    sample_seed: int
    sources: dict[str, list[str]]
    split: dict[str, str]
    spacing: float
    tile: Sequence[int]
    channels: Sequence[str]
    inputs: Sequence[Input]
    network: Network
    training: SimulationTraining
    synthesis: Section
    name: str = ""
    mirror: MirrorError | None = None
    initial: str | None = None


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """Contrasts of the scans, and their brain extraction."""

    contrasts: Sequence[str]
    brain_extraction: str
    inputs: Sequence[Sequence[str]] = ()

    @property
    def groups(self) -> Sequence[Sequence[str]]:
        """Sets of contrasts that may be shown together; by default, all of them."""
        return self.inputs or [list(self.contrasts)]


@dataclass(frozen=True, kw_only=True)
class GridData(DataSettings):
    """Scans on the grid of a network: its space, and its spacing in mm."""

    space: str
    spacing: Sequence[float]


@dataclass(frozen=True)
class SplitRules:
    """How subjects are divided: counts or, below one, shares; the rest trains.

    With ``folds`` instead of ``validation``, each subject validates in one fold. ``intermediate``
    counts the training subjects reserved for the intermediate stage. ``by="slice"`` divides the slices
    of each scan by the shares, and all subjects train.
    """

    validation: float = 0
    folds: int | None = None
    test: float = 0
    intermediate: float = 0
    by: str = "subject"

    @property
    def by_slice(self) -> bool:
        """Whether the slices of each scan are divided."""
        return self.by == "slice"


@dataclass(frozen=True)
class Loss:
    """Weights of BCE and soft Dice; ``lesion_weight`` multiplies lesion voxels in the BCE."""

    bce: float
    dice: float
    lesion_weight: float | None = None


@dataclass(frozen=True)
class Augmentation:
    """Largest rotation (degrees), zoom and shift (shares) to either side; mirror left to right."""

    rotation: float = 0.0
    zoom: float = 0.0
    shift: float = 0.0
    flip: bool = False


@dataclass(frozen=True)
class StageTraining:
    """What all stages of a training on patients share.

    ``flip`` mirrors tiles left to right; ``slices`` (of a scan at a time) and ``augmentation`` are
    those of networks that work on slices.
    """

    batch: int
    workers: int
    clip: float
    loss: Loss
    flip: bool = False
    slices: int | None = None
    augmentation: Augmentation | None = None


@dataclass(frozen=True)
class Stage:
    """One stage of a training on patients.

    Attributes
    ----------
    tile : sequence of int
        Voxels; 1 on one axis for slices.
    cycle : int
        Epochs between restarts of the learning rate.
    group : str or sequence of str, optional
        Patients of this stage (:func:`bids_stroke.training.patients.groups.select_patients`).
    frozen : sequence of str
        Modules of the network that stay as they are, their normalization included.
    snapshots : sequence of int
        Epochs (from 1) whose weights are kept.
    """

    name: str
    tile: Sequence[int]
    epochs: int
    learning_rate: float
    cycle: int
    group: str | Sequence[str] | None = None
    frozen: Sequence[str] = ()
    snapshots: Sequence[int] = ()


@dataclass(frozen=True)
class NNUNetSettings:
    """Settings of nnU-Net's planner and trainer; ``spacing`` (mm) overrides that of the plan."""

    epochs: int
    iterations: int
    validation_iterations: int
    learning_rate: float
    rotation: float
    scaling: Sequence[float]
    dropout: float
    gpu_memory_gb: float
    workers: int
    save_every: int
    spacing: Sequence[float] | None = None


@dataclass(frozen=True, kw_only=True)
class PatientRecipe:
    """A training on patients: what all engines share.

    Attributes
    ----------
    card : dict
        What the card of the trained model says.
    content : dict
        The file that the recipe was read from, which a training keeps.
    initial : str, optional
        Name or path of a model to start from.
    target : str, optional
        Name of the last dataset of the training.
    """

    name: str
    seed: int
    data: DataSettings
    split: SplitRules
    card: Section
    content: Section = field(repr=False)
    initial: str | None = None
    target: str | None = None


@dataclass(frozen=True, kw_only=True)
class StagedRecipe(PatientRecipe):
    """One network, trained stage after stage.

    ``encoder`` names the weights of its encoder (:func:`bids_stroke.models.imagenet.load`).
    """

    data: GridData
    network: Network
    training: StageTraining
    stages: Sequence[Stage]
    encoder: str | None = None


@dataclass(frozen=True, kw_only=True)
class RunsRecipe(PatientRecipe):
    """Several trainings on the same scans, by name, and the cards of their ensembles."""

    data: GridData
    runs: dict[str, StagedRecipe]
    ensembles: dict[str, Section] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class NNUNetRecipe(PatientRecipe):
    """A training by nnU-Net itself."""

    nnunet: NNUNetSettings
