"""Messages and result of the subprocess of a session."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from bids_stroke.bids.record import Record


@dataclass(frozen=True)
class Started:
    """The workflow of a session starts.

    ``steps`` are the names of all steps. ``record`` is the current record of the session.
    """

    steps: Sequence[str]
    record: Record


@dataclass(frozen=True)
class Step:
    """A step of a session starts or ends; ``seconds`` is the elapsed time.

    ``name`` is the readable name (:mod:`bids_stroke.execution.steps`).
    """

    name: str
    status: Literal["start", "end", "exception"]
    seconds: float

    def add_to(self, record: Record) -> None:
        """Add the duration of a finished step to a record, if it is at least one second."""
        if self.status != "start" and self.seconds >= 1:
            record.steps[self.name] = round(self.seconds, 1)


@dataclass(frozen=True)
class Result:
    """Final status of a session: its last message.

    ``status`` is ``locked`` if another run is processing the session. ``error`` is a sentence.
    ``flags`` maps each failed QC check to a description.
    """

    status: Literal["ok", "failed", "locked"]
    error: str | None = None
    flags: Mapping[str, str] = field(default_factory=dict)
    lesion_volume_ml: float | None = None
    seconds: float = 0.0


Message: TypeAlias = Started | Step | Result
#: Function that sends a message to the main process.
Send: TypeAlias = Callable[[Message], None]
