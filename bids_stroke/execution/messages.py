"""Messages of the process of a session, and its result."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias


@dataclass(frozen=True)
class Started:
    """The workflow of a session starts; it has so many steps."""

    steps: int


@dataclass(frozen=True)
class Step:
    """A step of the workflow starts or ends, after so many seconds."""

    name: str
    status: Literal["start", "end", "exception"]
    seconds: float


@dataclass(frozen=True)
class Result:
    """How a session ended: its last message.

    ``status`` is ``locked`` where another run processes the session; ``error`` is a sentence; ``flags``
    are the QC checks that the session failed, with a sentence on each.
    """

    status: Literal["ok", "failed", "locked"]
    error: str | None = None
    flags: Mapping[str, str] = field(default_factory=dict)
    lesion_volume_ml: float | None = None
    seconds: float = 0.0


Message: TypeAlias = Started | Step | Result
#: Sends a message to the run.
Send: TypeAlias = Callable[[Message], None]
