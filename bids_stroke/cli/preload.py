"""What sessions fork from: a process that has loaded what they need, and that ends with its run."""

import pipelines.participant  # noqa: F401

from . import worker

worker.end_with_parent()
