"""The arguments that all commands share."""

import argparse
from collections.abc import Callable

from daycast import __version__


class Arguments:
    """The parser of the whole command line; each command is added to it."""

    def __init__(self) -> None:
        shared = argparse.ArgumentParser(add_help=False)
        shared.add_argument("--config", metavar="FILE", help="configuration (default: daycast.toml, or DAYCAST_CONFIG)")
        timed = argparse.ArgumentParser(add_help=False, parents=[shared])
        timed.add_argument("--until", metavar="T", help="as if the clock stood at T: nothing later is used")
        self.parser = argparse.ArgumentParser(
            prog="daycast", description="Tomorrow's weather at your own sensors, as SQL tables."
        )
        self.parser.add_argument("--version", action="version", version=__version__)
        self._shared, self._timed = shared, timed
        self._commands = self.parser.add_subparsers(required=True, metavar="COMMAND")

    def add(
        self, name: str, command: Callable[[argparse.Namespace], None], text: str, *, until: bool = False
    ) -> argparse.ArgumentParser:
        """Add a command, with `--until` where its clock can be set; returns its parser, for arguments of its own."""
        parent = self._timed if until else self._shared
        parser: argparse.ArgumentParser = self._commands.add_parser(name, help=text, description=text, parents=[parent])
        parser.set_defaults(command=command)
        return parser
