"""Base of the workflows: methods sentences, input and output nodes, devices."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from nipype.interfaces.base import BaseInterface
from nipype.interfaces.utility import IdentityInterface
from nipype.pipeline.engine import Node, Workflow

from bids_stroke.compute import devices

_Interface = TypeVar("_Interface", bound=BaseInterface)


class LesionWorkflow(Workflow):
    """A workflow with a sentence for the methods section in ``__desc__``.

    ``derivatives`` maps the role of each derivative of a whole session to its path.
    """

    __desc__: str = ""
    derivatives: Mapping[str, Path]

    def describe(self) -> str:
        """Collect the sentences of this workflow and of those inside, in the order added."""
        inner = (node.describe() for node in self._graph.nodes() if isinstance(node, Workflow))
        return " ".join(filter(None, (self.__desc__, *inner)))


def identity(name: str, fields: Iterable[str]) -> Node:
    """Make ``inputnode`` or ``outputnode``."""
    return Node(IdentityInterface(fields=list(fields)), name=name)


def on_device(interface: _Interface, device: str) -> _Interface:
    """Set a GPU step's device and tell the scheduler."""
    interface.inputs.device = device
    interface.inputs.use_gpu = devices.resolve(device).startswith("cuda")
    return interface
