"""What an ingest shows while it runs: a bar where someone looks, nothing in a log."""

import sys
from dataclasses import dataclass

from daycast.report.progress import show_ingest


@dataclass(frozen=True)
class State:
    source: str
    rows: int
    pieces_done: int = 0
    pieces: int = 0


STATES = (State("roofs", 1_200_000), State("roofs", 1_200_000, 1, 4), State("roofs", 1_200_000, 4, 4))


def test_a_log_is_spared(capsys):
    with show_ingest() as watch:
        for state in STATES:
            watch(state)
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""


def test_on_a_terminal_rows_and_pieces_are_told(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    with show_ingest() as watch:
        for state in STATES:
            watch(state)
    assert "1,200,000 rows" in capsys.readouterr().err
