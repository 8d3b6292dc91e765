"""The process that sessions fork from: it has loaded what they need, and ends with its run."""

import bids_stroke.pipelines.participant
import bids_stroke.pipelines.template_session  # noqa: F401

from . import reporting  # noqa: F401
from .session import end_with_parent

end_with_parent()
