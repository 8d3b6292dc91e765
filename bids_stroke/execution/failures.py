"""One sentence for each failure of a session."""

import re

from . import resources

SENTENCE = re.compile(r"bids_stroke\.errors\.\w+: (.+)")


def sentence(error):
    """Tell an error in one sentence: a user's mistake as it was put, anything else by its type."""
    if told := known_cause(error):
        return told
    error = error.__cause__ or error
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    last = lines[-1] if lines else type(error).__name__
    return f"an unexpected error, {last}; the crash file and the log are in logs."


def known_cause(error):
    """What the error itself tells the user, or what the machine was short of; None for any other."""
    # Nipype raises the first of several errors as the cause of their number.
    error = error.__cause__ or error
    found = SENTENCE.findall(str(error))
    if found:
        return found[-1].strip()
    if type(error).__module__ == "bids_stroke.errors":
        return str(error)
    return resources.shortage(error)
