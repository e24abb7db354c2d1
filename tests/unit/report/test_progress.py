"""The progress of training and of an ingest: a bar on a terminal; in a log, lines for training and nothing for an ingest."""

import contextvars
import io
import logging
import sys
import time
from dataclasses import dataclass, replace

import pytest

from daycast.model.training.trainer import Progress
from daycast.report.progress import show_ingest, show_training, time_left

EPOCH_3 = Progress("gru", 3, 10, 0.08126, 0.0745, 1703.4, 9.0, epochs_done=13, member=2, members=4)


def test_a_log_gets_a_line_an_epoch_with_loss_speed_and_the_time_left(monkeypatch, caplog):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with caplog.at_level(logging.INFO, "daycast"), show_training() as watch:
        watch(EPOCH_3)
    expected = "epoch 3 of at most 10, loss 0.0813, validation 0.0745, 1,703 windows/s, at most 4:03 left"
    assert caplog.messages == [f"training gru (2 of 4): {expected}"]


def test_a_log_gets_a_line_also_while_an_epoch_takes_long(monkeypatch, caplog):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    deadline = time.monotonic() + 60
    with caplog.at_level(logging.INFO, "daycast"), show_training(silent_s=0.01):
        while not caplog.messages and time.monotonic() < deadline:
            time.sleep(0.01)
    assert caplog.messages[0] == "the fit goes on, for 0:00 so far"


def test_a_line_while_an_epoch_takes_long_says_how_far_it_is_and_belongs_to_the_run(monkeypatch, caplog):
    """Prefect knows the run of a line by a context variable."""
    run = contextvars.ContextVar("run", default="none")
    runs: list[str] = []
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    caplog.handler.addFilter(lambda _: runs.append(run.get()) or True)
    token, deadline = run.set("fit 2026-02-05T10:05Z"), time.monotonic() + 60
    with caplog.at_level(logging.INFO, "daycast"), show_training(silent_s=0.01) as watch:
        watch(EPOCH_3)
        while len(caplog.messages) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
    run.reset(token)
    assert caplog.messages[-1].startswith("the fit goes on, for 0:0")
    assert caplog.messages[-1].endswith(" so far; gru (2 of 4) is past epoch 3")
    assert set(runs) == {"fit 2026-02-05T10:05Z"}


def test_the_time_left_is_that_of_all_networks_at_the_mean_pace_so_far():
    left = time_left()
    assert left(EPOCH_3) == 27 * 9.0  # 7 epochs of this network and 10 of each of two more
    assert left(replace(EPOCH_3, epochs_done=14, epoch_seconds=11.0)) == 26 * 10.0
    assert left(replace(EPOCH_3, epochs_done=21, epoch_seconds=10.0)) == 19 * 10.0
    assert left(replace(EPOCH_3, epochs_done=40)) == 0


@pytest.mark.parametrize("width", [80, 120])
def test_a_terminal_gets_a_bar_that_fits_it(monkeypatch, width):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "dumb")
    with show_training() as watch:
        watch(EPOCH_3)
    shown = terminal.getvalue()
    assert "gru 2/4" in shown
    assert "epoch 3/10  loss 0.0745  1,703 windows/s  ≤ 4:03 left" in shown


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
