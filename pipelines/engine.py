"""What the builders share."""

from nipype.interfaces.utility import IdentityInterface
from nipype.pipeline.engine import Node, Workflow

from bids_stroke.compute import devices


class LesionWorkflow(Workflow):
    """A workflow with a sentence for the methods section in ``__desc__``."""

    __desc__ = ""

    def describe(self):
        """Collect the sentences of this workflow and of those inside, in the order added."""
        inner = (node.describe() for node in self._graph.nodes() if isinstance(node, Workflow))
        return " ".join(filter(None, (self.__desc__, *inner)))


def identity(name, fields):
    """Make ``inputnode`` or ``outputnode``."""
    return Node(IdentityInterface(fields=list(fields)), name=name)


def on_device(interface, device):
    """Set a GPU step's device and tell the scheduler."""
    interface.inputs.device = device
    interface.inputs.use_gpu = devices.resolve(device).startswith("cuda")
    return interface
