"""What a run shows of itself: the chart is a picture by itself, the bar counts all networks, and neither can fail the run."""

import base64
import logging
from contextlib import contextmanager
from xml.etree import ElementTree as ET

import pytest

from daycast.flows import artifacts
from daycast.model.training.trainer import Progress
from daycast.settings import Settings
from daycast.steps.forecast import issue_forecasts
from daycast.steps.publish import draw_forecast

pytestmark = pytest.mark.slow
SETTINGS = Settings()


def test_the_chart_of_a_forecast_is_an_image_that_needs_nothing_else(trained):
    rows = issue_forecasts(trained.settings, trained.at)
    kind, _, data = draw_forecast(trained.settings, trained.at, rows).partition(",")
    assert kind == "data:image/svg+xml;base64"
    assert len(data) < 50_000
    picture = ET.fromstring(base64.b64decode(data))  # noqa: S314 - made just now
    said = {text.strip() for text in picture.itertext()}
    assert "air temperature (°C)" in said
    assert not [one for one in picture.iter() if "href" in "".join(one.attrib)]


def test_what_cannot_be_shown_costs_a_line_in_the_log_and_never_the_run(caplog, monkeypatch):
    def fail(*_: object, **__: object) -> str:
        raise OSError("the server is gone")

    caplog.set_level(logging.WARNING, "daycast")
    artifacts.show_image("forecast-chart", fail, "a chart")
    for name in ("create_markdown_artifact", "create_progress_artifact"):
        monkeypatch.setattr(artifacts, name, fail)
    artifacts.show_summary("forecast", "192 forecasts", SETTINGS)
    told = []
    with artifacts.showing_training(told.append) as watch:
        watch(progress(1, 1, 1))
    assert told == [progress(1, 1, 1)]
    assert caplog.text.count("no artifact: OSError: the server is gone") == 3


def test_an_error_of_the_training_itself_is_not_swallowed(bar):
    with pytest.raises(ValueError, match="no weights"), artifacts.showing_training(lambda _: None):
        raise ValueError("no weights")


def progress(member: int, epoch: int, done: int) -> Progress:
    return Progress("gru", epoch, 5, 0.3, 0.25, 100.0, 1.0, done, member, 2)


@pytest.fixture
def bar(monkeypatch) -> list[float]:
    moved = []
    monkeypatch.setattr(artifacts, "create_progress_artifact", lambda *_, **__: "id")
    monkeypatch.setattr(artifacts, "update_progress_artifact", lambda _, percent, __: moved.append(percent))
    return moved


def test_the_bar_counts_the_epochs_of_all_networks_and_is_full_at_the_end(bar):
    with artifacts.showing_training(lambda _: None) as watch:
        for member, epoch, done in ((1, 1, 2), (2, 1, 2), (1, 4, 8), (2, 2, 8)):  # they train at the same time
            watch(progress(member, epoch, done))
    assert bar == [20, 20, 80, 80, 100]


def test_a_table_holds_what_json_can_say(monkeypatch):
    shown = []
    monkeypatch.setattr(artifacts, "create_markdown_artifact", lambda *_, **__: None)
    monkeypatch.setattr(artifacts, "create_table_artifact", lambda *given: shown.append(given) or "id")
    artifacts.show_summary("verify", "text", SETTINGS)
    assert shown == []
    row = {"n": 3, "share": 0.5, "none": None, "who": contextmanager}
    artifacts.show_summary("verify", "text", SETTINGS, [row], each_row="who it was")
    assert shown == [([row | {"who": str(contextmanager)}], "verify-table", "who it was")]


@pytest.mark.parametrize(
    ("markdown", "described"),
    [
        ("2 of 3 sources were read.\n\n- failed: garden", "2 of 3 sources were read."),
        ("- report: `/srv/report.html`", "report: `/srv/report.html`"),
        ("```\n\n  12 stations\n```", "12 stations"),
        ("failed: https://me:hush@example.org", "failed: https://…@example.org"),
        ("", ""),
    ],
)
def test_the_list_of_artifacts_shows_the_first_line_of_a_summary(markdown, described, monkeypatch):
    shown = []
    monkeypatch.setattr(artifacts, "create_markdown_artifact", lambda *given: shown.append(given))
    artifacts.show_summary("ingest", markdown, SETTINGS)
    assert [given[1:] for given in shown] == [("ingest-summary", described)]
