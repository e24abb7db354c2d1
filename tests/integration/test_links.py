"""What precedes a forecast never prevents it, and what follows one never takes it back."""

import logging
import shutil
from collections.abc import Callable
from datetime import timedelta

import polars as pl
import pytest

from daycast.errors import ConfigError, DaycastError, ModelError, StepError
from daycast.flows import forecast as forecasting
from daycast.flows import ingest as ingesting
from daycast.flows import pipeline as chain
from daycast.flows import publish as publishing
from daycast.flows import verify as verifying
from daycast.flows.stages import Stages
from daycast.settings import Settings
from daycast.steps import backfill, record_run
from daycast.steps import forecast as steps
from daycast.steps import publish as draw_forecast
from daycast.steps.forecast import issue_forecasts
from daycast.steps.ingest import ingest_source
from daycast.steps.train import has_champion
from daycast.times import HOUR
from daycast.warehouse.models import promote_model, read_champion

pytestmark = pytest.mark.slow

ROWS = 4 * 2 * 24


@pytest.fixture(autouse=True)
def _alone(monkeypatch) -> None:
    """Without a Prefect server."""
    for module in (chain, forecasting, ingesting, publishing, verifying):
        monkeypatch.setattr(module, "show_summary", lambda *_, **__: None)
    monkeypatch.setattr(forecasting, "show_image", lambda _, draw, __: draw())


def refuse(*_: object, **__: object) -> None:
    raise KeyError("stage")


def test_any_failure_is_told_in_a_line_with_its_kind_and_all_are_raised_in_the_end(caplog) -> None:
    stages = Stages()
    assert stages.run(refuse) is None
    assert stages.run(int, "x") is None
    assert stages.run(int, "3") == 3
    assert [record.getMessage() for record in caplog.records] == [
        "refuse failed: KeyError: 'stage'",
        "int failed: ValueError: invalid literal for int() with base 10: 'x'",
    ]
    with pytest.raises(StepError, match="refuse failed: KeyError: 'stage'"):
        stages.raise_errors()


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_is_no_failure_of_a_stage(interrupt) -> None:
    def stop() -> None:
        raise interrupt

    with pytest.raises(interrupt):
        Stages().run(stop)


OUTPUTS = ["Tables", "Report"]
CHAIN = ["ingest", "has_champion", "minutes_due", "retrain", "forecast", "verify", *OUTPUTS]


def replace_stage(monkeypatch: pytest.MonkeyPatch, name: str, stage: Callable[..., object]) -> None:
    if name in OUTPUTS:
        monkeypatch.setitem(publishing.OUTPUTS, name, stage)
    else:
        monkeypatch.setattr(chain, name, stage)


@pytest.fixture
def carried_out(monkeypatch, tmp_path) -> list[str]:
    """The stages of the pipeline that ran, each of which only says so."""
    done: list[str] = []
    given = {"has_champion": True, "minutes_due": 1.0}
    settings = Settings.model_validate({}, context={"folder": tmp_path})
    monkeypatch.setattr(chain, "load_settings", lambda _: settings)
    for name in CHAIN:
        replace_stage(monkeypatch, name, lambda *_, name=name, **__: done.append(name) or given.get(name))
    return done


@pytest.mark.parametrize("broken", CHAIN)
@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), ModelError("it is damaged")])
def test_a_stage_that_fails_in_whatever_way_stops_no_other(carried_out, monkeypatch, broken, error) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    replace_stage(monkeypatch, broken, fail)
    with pytest.raises(DaycastError) as raised:
        chain.pipeline.fn()
    assert str(raised.value).count("\n") == 0
    assert str(error) in str(raised.value)
    depends = {"minutes_due": {"retrain"}}
    assert [name for name in CHAIN if name not in carried_out] == [
        name for name in CHAIN if name in {broken} | depends.get(broken, set())
    ]


@pytest.fixture
def forecast(trained, monkeypatch) -> Callable[[], int]:
    """The flow `forecast` on a trained network, without Prefect."""
    monkeypatch.setattr(forecasting, "load_settings", lambda _: trained.settings)
    monkeypatch.setattr(forecasting, "clock", lambda _=None: trained.at)
    monkeypatch.setattr(forecasting, "issue_forecasts", steps.issue_forecasts)
    monkeypatch.setattr(forecasting, "has_champion", has_champion)
    monkeypatch.setattr(forecasting, "find_model_of_hour", backfill.find_model_of_hour)
    monkeypatch.setattr(forecasting, "draw_forecast", draw_forecast.draw_forecast)
    return forecasting.forecast.fn


@pytest.mark.parametrize(
    "part", ["send_heartbeat", "show_summary", "show_image", "draw_forecast", "finish_run", "start_run"]
)
def test_nothing_that_follows_a_forecast_takes_it_back(forecast, trained, monkeypatch, caplog, part) -> None:
    monkeypatch.setattr(record_run if part.endswith("_run") else forecasting, part, refuse)
    caplog.set_level(logging.WARNING, "daycast")
    assert forecast() == ROWS
    assert "KeyError: 'stage'" in caplog.text
    with trained.settings.warehouse.write(trained.at) as con:
        assert con.execute("select count(*) from forecasts").fetchall() == [(ROWS,)]


@pytest.mark.parametrize("piece", ["read_calibrations", "read_external_forecasts"])
def test_calibrations_and_external_forecasts_that_cannot_be_read_are_left_out(trained, monkeypatch, caplog, piece):
    monkeypatch.setattr(steps, piece, refuse)
    caplog.set_level(logging.WARNING, "daycast")
    assert len(issue_forecasts(trained.settings, trained.at)) == ROWS
    assert "cannot forecast with its calibrations and external forecasts: KeyError: 'stage'" in caplog.text


@pytest.fixture
def two_champions(trained) -> tuple[Settings, str]:
    """A network whose champion followed upon another, and the name of that one."""
    settings, now = trained.settings, trained.at + HOUR
    with settings.warehouse.write(now) as con:
        champion = read_champion(con)
        first = champion.model_id
        shutil.copyfile(settings.checkpoints / champion.checkpoint, settings.checkpoints / "second.safetensors")
        con.execute(
            """
            insert into models
            select * replace ('second' as model_id, 'second.safetensors' as checkpoint, 'challenger' as role)
            from models
            where model_id = $first
            """,
            {"first": first},
        )
        promote_model(con, "second", now)
    return settings, first


@pytest.mark.parametrize("damage", ["gone", "no header", "strange header"])
def test_where_the_champion_cannot_be_used_the_one_before_it_forecasts(
    two_champions, trained, monkeypatch, caplog, damage
):
    settings, first = two_champions
    now = trained.at + timedelta(hours=1, minutes=1)
    with settings.warehouse.write(now) as con:
        file = settings.checkpoints / read_champion(con).checkpoint
    if damage == "gone":
        file.unlink()
    elif damage == "no header":
        file.write_bytes(b"no checkpoint")
    else:
        content = file.read_bytes()
        assert content.count(b"channels") >= 1
        file.write_bytes(content.replace(b"channels", b"chamnels"))
    caplog.set_level(logging.WARNING, "daycast")
    rows = issue_forecasts(settings, now)
    assert rows["model_id"].unique().to_list() == [first]
    assert "cannot forecast" in caplog.text


def test_a_source_that_breaks_in_a_way_nobody_foresaw_stops_no_other(monkeypatch, tmp_path) -> None:
    two = [{"kind": "simulated", "name": name, "stations": 2, "history": "3d"} for name in ("bad", "good")]
    settings = Settings.model_validate({"sources": two}, context={"folder": tmp_path})
    asked = []

    def ingest(settings: Settings, source, *rest, **options):
        asked.append((source.name, rest[-1]))  # the minutes
        if source.name == "bad":
            raise pl.exceptions.ComputeError("no such column")
        return ingest_source(settings, source, *rest, **options)

    monkeypatch.setattr(ingesting, "load_settings", lambda _: settings)
    monkeypatch.setattr(ingesting, "ingest_source", ingest)
    monkeypatch.setattr(ingesting, "find_warnings", refuse)
    with pytest.raises(StepError, match=r"2 errors: .*ingest failed: ComputeError: no such column"):
        ingesting.ingest.fn()
    assert [name for name, _ in asked] == ["bad", "good"]
    (_, half), (_, rest) = asked
    assert half <= settings.ingest.max_minutes / 2 < rest <= settings.ingest.max_minutes  # shares


def test_scores_drifts_and_calibration_are_brought_up_to_date_each_for_itself(monkeypatch, tmp_path) -> None:
    settings, done = Settings.model_validate({}, context={"folder": tmp_path}), []
    monkeypatch.setattr(verifying, "load_settings", lambda _: settings)
    monkeypatch.setattr(verifying, "verify_forecasts", refuse)
    monkeypatch.setattr(verifying, "note_drifts", refuse)
    monkeypatch.setattr(verifying, "calibrate", lambda *_: done.append("calibrated") or True)
    with pytest.raises(StepError, match="KeyError: 'stage'"):
        verifying.verify.fn()
    assert done == ["calibrated"]


def test_a_table_that_cannot_be_published_does_not_cost_the_report(monkeypatch, tmp_path) -> None:
    settings, done = Settings.model_validate({}, context={"folder": tmp_path}), []
    monkeypatch.setattr(publishing, "load_settings", lambda _: settings)

    def fail(*_: object) -> None:
        raise ConfigError("no room")

    monkeypatch.setitem(publishing.OUTPUTS, "Tables", fail)
    monkeypatch.setitem(publishing.OUTPUTS, "Report", lambda *_: done.append("report") or settings.report)
    with pytest.raises(ConfigError, match="no room"):
        publishing.publish.fn()
    assert done == ["report"]
