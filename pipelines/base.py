"""Base class of the workflows; input and output nodes; devices."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from nipype.interfaces.base import BaseInterface
from nipype.interfaces.utility import IdentityInterface
from nipype.pipeline.engine import Node, Workflow

from bids_stroke.compute import devices

#: Package of ANTs, for ``LesionWorkflow.__packages__``.
ANTS = ("antspyx",)
_Interface = TypeVar("_Interface", bound=BaseInterface)


class LesionWorkflow(Workflow):
    """Workflow with a sentence for the methods section in ``__desc__``.

    The sentence cites references by their keys (:mod:`bids_stroke.utils.references`).
    ``__packages__`` lists the installed packages that the steps call, ``__materials__`` the models,
    tracts and atlases with license and citation. ``derivatives`` of a session workflow maps the role of
    each derivative to its path.
    """

    __desc__: str = ""
    __packages__: Sequence[str] = ()
    __materials__: Sequence[str] = ()
    derivatives: Mapping[str, Path]

    def describe(self) -> str:
        """Join the sentences of this workflow and its nested workflows, in the order of addition."""
        return " ".join(filter(None, (workflow.__desc__ for workflow in self._walk())))

    def packages(self) -> set[str]:
        """Return the packages that this workflow and its nested workflows call."""
        return {name for workflow in self._walk() for name in workflow.__packages__}

    def materials(self) -> list[str]:
        """List the models, tracts and atlases of this workflow and its nested workflows."""
        sentences = (text for workflow in self._walk() for text in workflow.__materials__)
        return list(dict.fromkeys(sentences))

    def _walk(self) -> Iterator["LesionWorkflow"]:
        """Yield this workflow and its nested workflows, in the order of addition."""
        yield self
        for node in self._graph.nodes():
            if isinstance(node, LesionWorkflow):
                yield from node._walk()


def identity(name: str, fields: Iterable[str]) -> Node:
    """Create an identity node, such as ``inputnode`` or ``outputnode``."""
    return Node(IdentityInterface(fields=list(fields)), name=name)


def on_device(interface: _Interface, device: str) -> _Interface:
    """Set the device of a step, and whether the scheduler must reserve a GPU for it."""
    interface.inputs.device = device
    interface.inputs.use_gpu = devices.resolve(device).startswith("cuda")
    return interface
