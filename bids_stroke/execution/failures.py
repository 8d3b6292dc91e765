"""One sentence for each failure of a session."""

import re

from . import resources

SENTENCE = re.compile(r"bids_stroke\.errors\.\w+: (.+)")


def sentence(error: BaseException) -> str:
    """Describe an error in one sentence: a user's mistake by its message, others by their type."""
    if cause := known_cause(error):
        return cause
    error = error.__cause__ or error
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    last = lines[-1] if lines else type(error).__name__
    return f"an unexpected error, {last}; the crash file and the log are in logs."


def known_cause(error: BaseException) -> str | None:
    """The message of a user's mistake, or the resource that was short; None for any other error."""
    # Nipype raises the first of several errors as the cause of their number.
    error = error.__cause__ or error
    sentences = SENTENCE.findall(str(error))
    if sentences:
        return sentences[-1].strip()
    if type(error).__module__ == "bids_stroke.errors":
        return str(error)
    return resources.shortage(error)
