"""Base class of the workflows; input and output nodes; devices."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from nipype.interfaces.base import BaseInterface
from nipype.interfaces.utility import IdentityInterface
from nipype.pipeline.engine import Node, Workflow

from bids_stroke.compute import devices

_Interface = TypeVar("_Interface", bound=BaseInterface)


class LesionWorkflow(Workflow):
    """Workflow with a sentence for the methods section in ``__desc__``.

    ``derivatives`` of a session workflow maps the role of each derivative to its path.
    """

    __desc__: str = ""
    derivatives: Mapping[str, Path]

    def describe(self) -> str:
        """Join the sentences of this workflow and its nested workflows, in the order of addition."""
        inner = (node.describe() for node in self._graph.nodes() if isinstance(node, Workflow))
        return " ".join(filter(None, (self.__desc__, *inner)))


def identity(name: str, fields: Iterable[str]) -> Node:
    """Create an identity node, such as ``inputnode`` or ``outputnode``."""
    return Node(IdentityInterface(fields=list(fields)), name=name)


def on_device(interface: _Interface, device: str) -> _Interface:
    """Set the device of a step, and whether the scheduler must reserve a GPU for it."""
    interface.inputs.device = device
    interface.inputs.use_gpu = devices.resolve(device).startswith("cuda")
    return interface
