"""The parser of the whole command line, its help and its completion. For --help only the standard library is loaded."""

import argparse
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from daycast import __version__

GROUPS = {
    "first steps, in this order": ("init", "doctor", "run", "up"),
    "look": ("sql", "report", "models", "guide"),
    "the chain step by step, all of which `run` does": ("ingest", "retrain", "forecast", "verify", "publish"),
    "the past": ("backtest", "backfill"),
    "running by itself": ("down", "trigger", "deploy"),
    "upkeep": ("maintain", "migrate-warehouse"),
}
FLOWS = (
    "ingest",
    "forecast",
    "verify",
    "retrain",
    "publish",
    "maintain",
    "backfill",
    "promote",
    "rollback",
    "pipeline",
)
SHELLS = ("bash", "zsh", "fish")


class Arguments:
    """The parser of the whole command line; each command is added to it."""

    def __init__(self) -> None:
        shared = argparse.ArgumentParser(add_help=False)
        shared.add_argument("--config", metavar="FILE", help="configuration (default: daycast.toml, or DAYCAST_CONFIG)")
        self.parser = _GroupedParser(
            prog="daycast", description="Tomorrow's weather at your own sensors, every hour, as SQL tables."
        )
        self.parser.add_argument("--version", action="version", version=__version__)
        self.parser.add_argument(
            "--print-completion",
            action=_PrintCompletion,
            choices=SHELLS,
            metavar="SHELL",
            help="print what completes in bash, zsh or fish",
        )
        self._shared = shared
        self._commands = self.parser.add_subparsers(
            required=True, metavar="COMMAND", parser_class=argparse.ArgumentParser
        )

    def add(
        self,
        name: str,
        command: Callable[[argparse.Namespace], None],
        text: str,
        example: str = "",
        *,
        until: str = "",
    ) -> argparse.ArgumentParser:
        """Add a command; returns its parser, for arguments of its own.

        example: arguments to show in its help. until: what `--until T` limits, where the command has it; nothing later than T
        is used then, and what is written bears the time of now all the same.
        """
        parser: argparse.ArgumentParser = self._commands.add_parser(
            name,
            help=text,
            description=text,
            epilog=f"example: daycast {name} {example}".rstrip(),
            parents=[self._shared],
        )
        if until:
            parser.add_argument("--until", metavar="T", help=until)
        parser.set_defaults(command=command, ends_by_itself=False)
        self.parser.texts[name] = text
        return parser


class _GroupedParser(argparse.ArgumentParser):
    """A parser whose help shows the commands in GROUPS."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.texts: dict[str, str] = {}  # of each command

    def format_help(self) -> str:
        """The help of `daycast --help`."""
        formatter = argparse.HelpFormatter(self.prog, max_help_position=22)
        formatter.add_usage(self.usage, self._actions, [])
        formatter.add_text(self.description)
        for title, names in GROUPS.items():
            formatter.start_section(title)
            formatter.add_arguments(argparse.Action([], name, help=self.texts[name]) for name in names)
            formatter.end_section()
        formatter.start_section("options")
        formatter.add_arguments(action for action in self._actions if action.option_strings)
        formatter.end_section()
        formatter.add_text("Each explains itself, with an example: daycast COMMAND --help")
        formatter.add_text('Tab completion, in bash: eval "$(daycast --print-completion bash)"')
        return formatter.format_help()


class _PrintCompletion(argparse.Action):
    """Print what a shell has to evaluate to complete commands and options."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,  # noqa: ARG002 – argparse calls it so
        values: str | Sequence[Any] | None,
        option_string: str | None = None,  # noqa: ARG002
    ) -> None:
        from argcomplete.shell_integration import shellcode

        typed = (
            "env (commandline -op)[1]" if values == "fish" else None
        )  # the program that was typed, as for bash and zsh
        print(shellcode(["daycast"], shell=str(values), argcomplete_script=typed))
        parser.exit()


def complete(parser: argparse.ArgumentParser) -> None:
    """Where a shell asks for completions, print them and exit; else do nothing."""
    if "_ARGCOMPLETE" not in os.environ:
        return
    from argcomplete import autocomplete
    from argcomplete.completers import BaseCompleter, FilesCompleter

    class Values(BaseCompleter):
        """Values of what has no choices: files and flows; nothing of times, names and numbers."""

        def __call__(self, *, prefix: str, action: argparse.Action, **_: object) -> Iterable[str]:
            return FilesCompleter()(prefix) if action.dest == "config" else FLOWS if action.dest == "flow" else ()

    autocomplete(parser, always_complete_options="long", default_completer=Values())
