"""How training shows where it is."""

import io
import logging
import sys

import pytest

from daycast.model.train import Progress
from daycast.report.progress import show_training

EPOCH_3 = Progress("gru", 3, 10, 0.08126, 0.0745, 1703.4, 9.0)


def test_a_log_gets_a_line_an_epoch_with_loss_speed_and_the_time_left(monkeypatch, caplog):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    logging.getLogger("daycast").propagate = True
    with caplog.at_level(logging.INFO, "daycast"), show_training() as watch:
        watch(EPOCH_3)
    expected = "epoch 3 of at most 10, loss 0.0813, validation 0.0745, 1,703 windows/s, at most 63 s left"
    assert caplog.messages == [f"training gru: {expected}"]


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
    assert "epoch 3/10  loss 0.0745  1,703 windows/s  63 s" in terminal.getvalue()
