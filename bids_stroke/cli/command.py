"""Parser and entry point of all commands: errors in one sentence, and the exit status."""

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from itertools import takewhile
from typing import Any, NoReturn

from bids_stroke.errors import StrokeError, UsageError
from bids_stroke.execution import failures

from .encoding import start_in_utf8

#: Largest number of options that the error of an incomplete option suggests.
_LONGER = 3
#: Lowest similarity (0-1) of a suggested name; unrelated short words reach 0.67.
_SIMILARITY = 0.7


class CommandParser(argparse.ArgumentParser):
    """Parser that raises its errors as one sentence, and suggests options for an unknown one.

    Options cannot be abbreviated, and may be written with hyphens or underscores.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **settings})

    def error(self, message: str) -> NoReturn:
        """Raise a :class:`~bids_stroke.errors.UsageError`."""
        sentence = message.removeprefix("argument ").rstrip(".")
        if ";" not in sentence:
            sentence += f"; see {self.prog} --help"
        raise UsageError(sentence if sentence.endswith("?") else f"{sentence}.")

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
        """Parse the words of a command line; raise an error for unknown options."""
        return super().parse_known_args(self._prepare(args), namespace)

    def parse_known_intermixed_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
        """Parse options between positional arguments; raise an error for unknown options."""
        return super().parse_known_intermixed_args(self._prepare(args), namespace)

    def _prepare(self, args: Sequence[str] | None) -> list[str]:
        """Replace underscores in options, and check that all options are known.

        The options after the name of a subcommand are checked by its own parser. argparse would read
        ``-work-dir`` as the option ``-w`` with the value ``ork-dir``.
        """
        words = list(sys.argv[1:] if args is None else args)
        end = words.index("--") if "--" in words else len(words)
        words[:end] = map(hyphenated, words[:end])
        checked = takewhile(self._is_option, words) if self._subparsers else words[:end]
        for name in (word.partition("=")[0] for word in checked if self._is_option(word)):
            is_known = not {name, name[:2]}.isdisjoint(self._option_string_actions)
            if not is_known or hyphenated(f"-{name}") in self._option_string_actions:
                self.error(f"{name} is not an option{suggest(name, self._option_string_actions)}")
        return words

    def _is_option(self, word: str) -> bool:
        """Return whether argparse reads a word as an option, not as a negative number or a text."""
        is_value = " " in word or self._negative_number_matcher.match(word)
        return word.startswith("-") and word != "-" and not is_value

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Raise an error with the choices of an option if a value is not among them."""
        if action.choices is None or value in action.choices:
            return
        name = "/".join(action.option_strings) or action.metavar or action.dest
        choices = ", ".join(map(str, action.choices))
        raise argparse.ArgumentError(None, f"{name} cannot be {value}; use one of {choices}")


def suggest(name: str, names: Iterable[str]) -> str:
    """Return the end of the error message for an unknown name: similar names, or an empty text."""
    candidates = list(names)
    longer = [candidate for candidate in candidates if candidate.startswith(name)]
    bare = {candidate.lstrip("-"): candidate for candidate in candidates}
    close = get_close_matches(name.lstrip("-"), bare, n=1, cutoff=_SIMILARITY)
    similar = longer[:_LONGER] or [bare[word] for word in close]
    return f"; did you mean {' or '.join(similar)}?" if similar else ""


def hyphenated(word: str) -> str:
    """Replace underscores in an option with hyphens; return other words unchanged."""
    option, equals, value = word.partition("=")
    if not option.startswith("--") or " " in option:
        return word
    return option.replace("_", "-") + equals + value


def run(prog: str, work: Callable[[], int], argv: Sequence[str] | None) -> int:
    """Run a command and return the exit status; print errors in one sentence.

    The status is that of ``work``, 1 after a failure, 2 for a usage error, and 130 after an interrupt.

    Parameters
    ----------
    prog : str
        Name of the command.
    work : callable
        Function that parses the command line, runs the command and returns the exit status.
    argv : sequence of str, optional
        Words of the command line; those of the process by default.
    """
    start_in_utf8(argv)
    try:
        return _flushed(work)
    except StrokeError as error:
        print(f"{prog}: error: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    except BrokenPipeError:  # the reader of the output has exited: do not flush the rest
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (OSError, MemoryError, ImportError, RuntimeError) as error:
        reason = failures.describe_shortage(error)
        if reason is None and isinstance(error, OSError):
            reason = failures.describe_os_error(error)
        if reason is None:
            raise
        print(f"{prog}: error: {reason}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{prog}: interrupted; run the same command again to continue.", file=sys.stderr)
        return 130


def print_notices(prog: str, notices: Iterable[str]) -> None:
    """Print sentences for the user of a command."""
    for notice in notices:
        print(f"{prog}: note: {notice}", file=sys.stderr)


def _flushed(work: Callable[[], int]) -> int:
    """Call a function and flush its output, so that errors of the output are also caught."""
    try:
        return work()
    finally:
        sys.stdout.flush()


def run_parsed(
    parser: CommandParser, work: Callable[[argparse.Namespace], int], argv: Sequence[str] | None
) -> int:
    """Parse the command line of a command, and call ``work`` with its arguments as :func:`run` does."""
    return run(parser.prog, lambda: work(parser.parse_args(argv)), argv)


def run_subcommand(
    parser: CommandParser,
    commands: Mapping[str, Callable[[argparse.Namespace], int]],
    argv: Sequence[str] | None,
) -> int:
    """Run the subcommand that ``parser`` stores as ``command`` as :func:`run` does."""
    return run_parsed(parser, lambda arguments: commands[arguments.command](arguments), argv)
