"""One sentence for each failure of a session."""

import re

SENTENCE = re.compile(r"bids_stroke\.errors\.\w+: (.+)")
#: What a machine runs short of, by what Python, ITK and torch say then.
_MEMORY = (
    "the memory does not suffice; run the same command again to continue, with a smaller --nprocs or "
    "on a machine with more."
)
_SHORT = {
    "No space left on device": "a disk is full, that of the output, the work folder or TMPDIR; make "
    "room and run the same command again to continue.",
    "Disk quota exceeded": "the quota of a disk is used up, that of the output, the work folder or "
    "TMPDIR; make room and run the same command again to continue.",
    **dict.fromkeys(
        (
            *("MemoryError", "bad_alloc", "Cannot allocate memory", "can't allocate memory"),
            *("failed to map segment", "can't start new thread"),
        ),
        _MEMORY,
    ),
}


def describe_error(error: BaseException) -> str:
    """Describe an error in one sentence: a user's mistake by its message, others by their type."""
    if cause := known_cause(error):
        return cause
    error = error.__cause__ or error
    if isinstance(error, OSError):
        return describe_os_error(error)
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
    return describe_shortage(error)


def describe_os_error(error: OSError) -> str:
    """Describe in a sentence what the operating system refused."""
    path = error.filename2 or error.filename  # the second is where a file was to be moved
    where = f"{path}: " if path else ""
    return f"{where}{error.strerror or error}; mend it and run the same command again to continue."


def describe_shortage(error: BaseException) -> str | None:
    """Describe in a sentence what the machine ran short of; None for any other error."""
    text = f"{type(error).__name__}: {error}"
    return next((message for words, message in _SHORT.items() if words in text), None)
