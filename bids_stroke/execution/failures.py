"""Descriptions of errors in one sentence."""

import re

SENTENCE = re.compile(r"bids_stroke\.errors\.\w+: (.+)")
_OUT_OF_MEMORY = (
    "the machine is out of memory; run the same command again to continue, with a smaller --nprocs or "
    "on a machine with more memory."
)
#: Exhausted resources, by the error messages of Python, ITK and torch.
_EXHAUSTED = {
    "No space left on device": "the disk of the output folder, the work folder or TMPDIR is full; free "
    "some space and run the same command again to continue.",
    "Disk quota exceeded": "the disk quota of the output folder, the work folder or TMPDIR is "
    "exceeded; free some space and run the same command again to continue.",
    **dict.fromkeys(
        (
            *("MemoryError", "bad_alloc", "Cannot allocate memory", "can't allocate memory"),
            *("failed to map segment", "can't start new thread"),
        ),
        _OUT_OF_MEMORY,
    ),
}


def describe_error(error: BaseException) -> str:
    """Describe an error in one sentence, with advice on what to do."""
    if cause := known_cause(error):
        return cause
    error = error.__cause__ or error
    if isinstance(error, OSError):
        return describe_os_error(error)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    last = lines[-1] if lines else type(error).__name__
    return f"unexpected error: {last}; see the crash file and the log in the folder logs."


def known_cause(error: BaseException) -> str | None:
    """Describe an error that a user can act on or an exhausted resource; return None for others."""
    # With several errors, Nipype raises their count, with the first error as its cause.
    error = error.__cause__ or error
    sentences = SENTENCE.findall(str(error))
    if sentences:
        return sentences[-1].strip()
    if type(error).__module__ == "bids_stroke.errors":
        return str(error)
    return describe_shortage(error)


def describe_os_error(error: OSError) -> str:
    """Describe an error of the operating system in one sentence."""
    path = error.filename2 or error.filename  # the second is the target of a move
    where = f"{path}: " if path else ""
    return f"{where}{error.strerror or error}; fix this and run the same command again to continue."


def describe_shortage(error: BaseException) -> str | None:
    """Describe an exhausted resource (memory, disk) in one sentence; return None for other errors."""
    text = f"{type(error).__name__}: {error}"
    return next((message for words, message in _EXHAUSTED.items() if words in text), None)
