"""Command-line options of ``bids_stroke``, with the defaults of the settings."""

import argparse
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from bids_stroke import __version__
from bids_stroke.settings import LEVELS, Settings

from . import option_groups, outcome_options, selection_options
from .command import CommandParser

#: Name of the command.
PROG = "bids_stroke"
_EPILOG = """\
examples:
  bids_stroke /data /out participant                      process all participants
  bids_stroke /data /out participant --participant-label 01 02
  bids_stroke /data /out group                            write tables, maps and the cohort report
  bids_stroke /data /out group --outcome nihss --covariates age sex
"""


class Help(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Help formatter that adds defaults, unless the help states them, and keeps line breaks."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        stated = action.dest == "output_spaces" or action.help is argparse.SUPPRESS
        if stated or action.default in (None, False, (), []):
            return action.help
        if isinstance(action.default, list):
            return f"{action.help} (default: {' '.join(action.default)})"
        return super()._get_help_string(action)


class _PrintCompletion(argparse.Action):
    """Option that prints the script of the tab completion and exits."""

    def __call__(self, parser: argparse.ArgumentParser, _: object, shell: Any, *__: object) -> None:
        from .completion import completion_script  # imports all commands

        print(completion_script(shell))
        parser.exit()


def build() -> CommandParser:
    """Create the parser without slow imports."""
    parser = CommandParser(
        prog=PROG,
        description="BIDS App that segments stroke lesions and measures their volumes, locations\n"
        "and corticospinal-tract loads.",
        epilog=_EPILOG,
        formatter_class=Help,
    )
    parser.add_argument("bids_dir", type=Path, help="root folder of the BIDS dataset")
    parser.add_argument("output_dir", type=Path, help="output folder for the derivatives")
    parser.add_argument(
        "analysis_level",
        choices=LEVELS,
        help="participant: process each session; group: summarize the processed sessions",
    )
    parser.add_argument("--version", action="version", version=f"{PROG} {__version__}")
    parser.add_argument(
        "--print-completion",
        action=_PrintCompletion,
        dest=argparse.SUPPRESS,
        default=argparse.SUPPRESS,
        choices=("bash",),
        help="print the script of the tab completion of all commands",
    )
    add_options(parser)
    return parser


def add_options(parser: CommandParser) -> None:
    """Add the options of both levels.

    Defaults are those of :class:`~bids_stroke.settings.Settings`, except that cores and memory have
    none, because they depend on the machine.
    """
    parser.set_defaults(**_defaults())
    selection_options.add_selection(parser.add_argument_group("input selection"))
    option_groups.add_processing(parser.add_argument_group("processing"))
    option_groups.add_group_level(parser.add_argument_group("group level"))
    outcome_options.add_outcome(parser.add_argument_group("outcome (group level)"))
    option_groups.add_resources(parser.add_argument_group("resources"))
    option_groups.add_running(parser.add_argument_group("execution"))


def _defaults() -> dict[str, object]:
    """Return the defaults of the settings by name, with tuples converted to lists."""
    defaults = {field.name: field.default for field in fields(Settings) if field.default is not MISSING}
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in defaults.items()
    }
