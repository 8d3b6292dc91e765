"""Dataclasses of training settings, which :mod:`bids_stroke.training.recipes` reads from YAML."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from bids_stroke.models.card import Network

#: Section whose keys are defined in other modules: ranges of the simulator (``simulation``), fields of
#: a model card (``models.card``), or content of a whole file.
Section: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Input:
    """Contrasts that are presented together, and their frequency relative to the other inputs."""

    contrasts: Sequence[str]
    share: float


@dataclass(frozen=True)
class MirrorError:
    """Error of the mid-sagittal plane for the mirrored channels of a sample.

    Attributes
    ----------
    rotation, shift : float
        Standard deviations of the usual error (degrees, mm).
    wrong : float
        Probability of a failed alignment, whose standard deviations are ten times larger.
    missing : float
        Probability that the mirrored channels are zero.
    """

    rotation: float
    shift: float
    wrong: float
    missing: float


@dataclass(frozen=True)
class LesionWeights:
    """Weights of lesion voxels in the loss.

    Attributes
    ----------
    floor : float
        Weight of a lesion voxel that is not visible on any of the presented contrasts.
    power : float
        Exponent of the factor (10 ml / lesion volume): 0 for equal voxels, 1 for equal lesions.
    limit : float
        Largest factor; the smallest is its inverse.
    """

    floor: float
    power: float
    limit: float


@dataclass(frozen=True)
class SimulationTraining:
    """Optimization on simulated strokes; ``decay_minutes``: decay of the learning rate to zero."""

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
    """Recipe of a training on simulated strokes.

    Attributes
    ----------
    sources : dict
        Folders of files by kind (``heads``, ``lesions``).
    spacing : float
        Voxel size (mm).
    tile : sequence of int
        Size of a sample (voxels).
    channels : sequence of str
        Contrasts of the network, in channel order.
    mirror : MirrorError, optional
        If set, the network also receives each channel reflected about the mid-sagittal plane.
    initial : str, optional
        Model to start from, adapted to the recipe's network; random weights by default.
    split : dict of str to str
        Part of each file (``folder/name``), ``training`` for files that are not listed.
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
    """Contrasts of the scans, method of brain extraction, and contrast of the reference image (by
    default, as at the participant level)."""

    contrasts: Sequence[str]
    brain_extraction: str
    inputs: Sequence[Sequence[str]] = ()
    reference: str | None = None

    @property
    def groups(self) -> Sequence[Sequence[str]]:
        """Sets of contrasts that are presented together; by default, one set of all contrasts."""
        return self.inputs or [list(self.contrasts)]


@dataclass(frozen=True, kw_only=True)
class GridData(DataSettings):
    """Settings of scans on the grid of a network: space, and voxel size (mm)."""

    space: str
    spacing: Sequence[float]


@dataclass(frozen=True)
class SplitRules:
    """Rules of a split: numbers of subjects or, below one, shares; the others are for training.

    With ``folds`` instead of ``validation``, each subject is used for validation in one fold.
    ``intermediate`` is the number or share of training subjects reserved for the intermediate stage.
    ``by="slice"`` splits the slices of each scan by the shares, and all subjects are used for training.
    """

    validation: float = 0
    folds: int | None = None
    test: float = 0
    intermediate: float = 0
    by: str = "subject"

    @property
    def by_slice(self) -> bool:
        """Whether the slices of each scan are split."""
        return self.by == "slice"


@dataclass(frozen=True)
class Loss:
    """Weights of BCE and soft Dice; ``lesion_weight`` is the weight of lesion voxels in the BCE."""

    bce: float
    dice: float
    lesion_weight: float | None = None


@dataclass(frozen=True)
class Augmentation:
    """Limits of random rotation (degrees), zoom and shift (shares), and left-right mirroring."""

    rotation: float = 0.0
    zoom: float = 0.0
    shift: float = 0.0
    flip: bool = False


@dataclass(frozen=True)
class StageTraining:
    """Settings shared by all stages of a training on patients.

    ``flip`` mirrors tiles left-right at random. ``slices`` (number of slices per scan) and
    ``augmentation`` are for 2D networks.
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
    """Stage of a training on patients.

    Attributes
    ----------
    tile : sequence of int
        Tile size (voxels), 1 along one axis for 2D networks.
    cycle : int
        Epochs between restarts of the learning rate.
    group : str or sequence of str, optional
        Patients of this stage (:func:`bids_stroke.training.patients.groups.select_patients`).
    frozen : sequence of str
        Modules of the network that are not trained, including their normalization.
    snapshots : sequence of int
        Epochs (from 1) whose weights are saved.
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
    """Settings of nnU-Net's planner and trainer; ``spacing`` (mm) overrides the planned spacing. The
    learning rate decays to zero in ``decay_epochs``, by default the epochs of the training."""

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
    decay_epochs: int | None = None


@dataclass(frozen=True, kw_only=True)
class PatientRecipe:
    """Recipe of a training on patients, with the settings shared by all engines.

    Attributes
    ----------
    card : dict
        Fields of the card of the trained model.
    content : dict
        Content of the recipe file, which the training saves in its output folder.
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
    """Recipe of one network that is trained in stages.

    ``encoder`` is the source of the encoder weights (:func:`bids_stroke.models.imagenet.load`).
    """

    data: GridData
    network: Network
    training: StageTraining
    stages: Sequence[Stage]
    encoder: str | None = None


@dataclass(frozen=True, kw_only=True)
class RunsRecipe(PatientRecipe):
    """Recipe of several trainings on the same scans, by name, and the cards of their ensembles."""

    data: GridData
    runs: dict[str, StagedRecipe]
    ensembles: dict[str, Section] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class NNUNetRecipe(PatientRecipe):
    """Recipe of a training by nnU-Net."""

    nnunet: NNUNetSettings
