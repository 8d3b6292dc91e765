"""Modules and template that the fork server of the sessions loads; it exits together with the run."""

import bids_stroke.pipelines.participant
import bids_stroke.pipelines.template_session  # noqa: F401
from bids_stroke.spatial.templates import template

from . import reporting  # noqa: F401
from .session import end_with_parent

end_with_parent()
template()  # the sessions share its memory
