"""The command line explains and completes itself."""

import io
import os
import re
import shlex

import argcomplete
import pytest

from daycast.__main__ import build_parser
from daycast.cli.arguments import FLOWS, GROUPS, SHELLS


def parsers() -> dict:
    """The parser of each command."""
    return next(action.choices for action in build_parser()._actions if isinstance(action.choices, dict))


@pytest.fixture(params=[80, 120])
def width(request, monkeypatch) -> int:
    monkeypatch.setenv("COLUMNS", str(request.param))
    return request.param


def test_every_command_is_in_one_group_of_the_help():
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(parsers())


def test_the_help_names_the_usual_order_first(width):
    commands = re.findall(r"^  ([a-z][\w-]+) ", build_parser().format_help(), re.MULTILINE)
    assert commands[:4] == ["init", "doctor", "run", "up"]
    assert sorted(commands) == sorted(parsers())


def test_the_help_fits_the_terminal(width):
    for parser in (build_parser(), *parsers().values()):
        assert [line for line in parser.format_help().splitlines() if len(line) > width] == []


@pytest.mark.parametrize("name", parsers())
def test_the_help_of_each_command_has_an_example_that_is_accepted(name, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    (example,) = re.findall(r"^example: (daycast .*)", parsers()[name].format_help(), re.MULTILINE)
    program, command, *_ = words = shlex.split(example)
    assert (program, command) == ("daycast", name)
    assert build_parser().parse_args(words[1:]).command


def completions(line: str, monkeypatch) -> set[str]:
    """What a shell is offered when Tab is pressed at the end of the line."""
    given = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "COMP_LINE": line, "COMP_POINT": str(len(line.encode()))}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    offered = io.StringIO()

    def autocomplete(parser, **options):
        finder = argcomplete.CompletionFinder()
        finder._init_debug_stream = lambda: setattr(argcomplete.io, "debug_stream", io.StringIO())
        finder(parser, exit_method=lambda _: None, output_stream=offered, **options)

    monkeypatch.setattr(argcomplete, "autocomplete", autocomplete)
    from daycast.cli.arguments import complete

    complete(build_parser())
    return {one.strip() for one in offered.getvalue().split("\n")} - {""}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("daycast re", {"retrain", "report"}),
        ("daycast retrain --cell ", {"gru", "lstm", "rnn", "auto"}),
        ("daycast sql --format ", {"table", "csv", "json"}),
        ("daycast sql 'select 1' --fo", {"--format"}),
        ("daycast models s", {"show"}),
        ("daycast trigger ", set(FLOWS) | {"--config", "--dry-run", "--help"}),
        ("daycast run --until ", set()),  # a time: nothing to offer
        ("daycast --print-completion ", set(SHELLS)),
    ],
)
def test_a_shell_is_offered_commands_options_and_choices(line, expected, monkeypatch):
    assert completions(line, monkeypatch) == expected


def test_a_configuration_is_completed_as_a_file(tmp_path, monkeypatch):
    (tmp_path / "garden.toml").touch()
    monkeypatch.chdir(tmp_path)
    assert completions("daycast run --config gar", monkeypatch) == {"garden.toml"}


def test_outside_a_completion_the_parser_is_left_alone():
    assert "_ARGCOMPLETE" not in os.environ
    assert build_parser().parse_args(["down"]).config is None
