"""The parser of the whole command line, its help and its shell completion.

`GROUPS` says how `daycast --help` lists the commands, `Arguments.add` adds one, `complete` answers a shell that wants
completions. `--help` loads nothing except the standard library.
"""

import argparse
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from daycast import __version__

GROUPS = {
    "first steps, in this order": ("init", "doctor", "run", "up"),
    "results": ("sql", "report", "models", "guide"),
    "the stages of `daycast run`, one at a time": ("ingest", "retrain", "forecast", "verify", "publish"),
    "past hours": ("backtest", "backfill"),
    "operation": ("down", "trigger", "deploy", "sources", "maintain", "migrate-warehouse", "pretrain"),
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
    """The parser of the whole command line, `parser`; each group of commands calls `add`."""

    def __init__(self) -> None:
        shared = argparse.ArgumentParser(add_help=False)
        _add_help(shared)
        shared.add_argument("--config", metavar="FILE", help="configuration (default: daycast.toml, or DAYCAST_CONFIG)")
        self.parser = _GroupedParser(
            prog="daycast",
            description="Tomorrow's weather at your own sensors, every hour, as SQL tables.",
            add_help=False,
        )
        _add_help(self.parser)
        self.parser.add_argument("--version", action="version", version=__version__, help="print the version and exit")
        self.parser.add_argument(
            "--print-completion",
            action=_PrintCompletion,
            choices=SHELLS,
            metavar="SHELL",
            help="print the script for Tab completion in bash, zsh or fish",
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
        more: str = "",
        until: str = "",
    ) -> argparse.ArgumentParser:
        """Add a command; returns its parser, to which the caller adds the command's own arguments.

        text: the line of `daycast --help`. more: sentences that `daycast NAME --help` shows after it. example: the arguments
        of the example in that help. until: the help of `--until T`, if the command has this option; then nothing later than T
        is used, while whatever is written still bears the time of now.
        """
        parser: argparse.ArgumentParser = self._commands.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}. {more}".rstrip(),
            epilog=f"example: daycast {name} {example}".rstrip(),
            parents=[self._shared],
            add_help=False,
        )
        if until:
            parser.add_argument("--until", metavar="T", help=until)
        parser.set_defaults(command=command, ends_by_itself=False)
        self.parser.texts[name] = text
        return parser


class _GroupedParser(argparse.ArgumentParser):
    """A parser whose help lists the commands by GROUPS."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.texts: dict[str, str] = {}  # of each command

    def format_help(self) -> str:
        """The text of `daycast --help`."""
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
        formatter.add_text("Options and an example of a command: daycast COMMAND --help")
        formatter.add_text('Tab completion in bash: eval "$(daycast --print-completion bash)"')
        return formatter.format_help()


def _add_help(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-h", "--help", action="help", help="print this help and exit")


class _PrintCompletion(argparse.Action):
    """Print the script that a shell evaluates to complete commands and options."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,  # noqa: ARG002 – argparse calls it so
        values: str | Sequence[Any] | None,
        option_string: str | None = None,  # noqa: ARG002
    ) -> None:
        from argcomplete.shell_integration import shellcode

        # fish needs to be told to run the program as it was typed, as bash and zsh do
        script = "env (commandline -op)[1]" if values == "fish" else None
        print(shellcode(["daycast"], shell=str(values), argcomplete_script=script))
        parser.exit()


def complete(parser: argparse.ArgumentParser) -> None:
    """If a shell asks for completions, print them and exit; otherwise do nothing."""
    if "_ARGCOMPLETE" not in os.environ:
        return
    from argcomplete import autocomplete
    from argcomplete.completers import BaseCompleter, FilesCompleter

    class Values(BaseCompleter):
        """Completes arguments without choices: files and flows, but no times, names and numbers."""

        def __call__(self, *, prefix: str, action: argparse.Action, **_: object) -> Iterable[str]:
            return FilesCompleter()(prefix) if action.dest == "config" else FLOWS if action.dest == "flow" else ()

    autocomplete(parser, always_complete_options="long", default_completer=Values())
