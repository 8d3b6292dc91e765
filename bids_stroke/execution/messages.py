"""Messages of the process of a session, and its result."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from bids_stroke.bids.record import Record


@dataclass(frozen=True)
class Started:
    """The workflow of a session starts.

    ``steps`` is the number of its steps, ``record`` the record of the session so far.
    """

    steps: int
    record: Record


@dataclass(frozen=True)
class Step:
    """A step of the workflow starts or ends; ``seconds`` is the elapsed time."""

    name: str
    status: Literal["start", "end", "exception"]
    seconds: float

    def add_to(self, record: Record) -> None:
        """Add the seconds of a step that has ended to a record; below a second it is bookkeeping."""
        if self.status != "start" and self.seconds >= 1:
            record.steps[self.name] = round(self.seconds, 1)


@dataclass(frozen=True)
class Result:
    """How a session ended: its last message.

    ``status`` is ``locked`` where another run processes the session; ``error`` is a sentence; ``flags``
    are the QC checks that the session failed, with all that is wrong by each.
    """

    status: Literal["ok", "failed", "locked"]
    error: str | None = None
    flags: Mapping[str, str] = field(default_factory=dict)
    lesion_volume_ml: float | None = None
    seconds: float = 0.0


Message: TypeAlias = Started | Step | Result
#: Sends a message to the run.
Send: TypeAlias = Callable[[Message], None]
