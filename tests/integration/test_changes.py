"""A change of configuration changes the forecasts, or says why not."""

import re
import shutil
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from daycast.__main__ import main
from daycast.errors import ConfigError, NotEnoughDataError
from daycast.report.summary import render_summary
from daycast.settings import Settings, load_settings
from daycast.steps.doctor import examine
from daycast.steps.evaluate import evaluate_holdout
from daycast.steps.forecast import issue_forecasts, plan_forecasts
from daycast.steps.ingest import ingest_source
from daycast.steps.publish import publish_tables, summarise, write_report
from daycast.steps.serving import list_sources, restore, retire
from daycast.steps.train import (
    Outcome,
    find_changes,
    fit_snapshot,
    has_champion,
    minutes_due,
    register,
    write_snapshot,
)
from daycast.times import floor_hour
from daycast.warehouse.publish.query import query_published
from integration.conftest import TRAINED_AT, Trained
from integration.own_network import COLUMNS, FREE, own_settings, write_readings

LATER = TRAINED_AT + timedelta(minutes=10)
HOUR_NOW = floor_hour(TRAINED_AT)


def retrain(settings: Settings, now: datetime, **model: object) -> Outcome:
    config = replace(settings.model, **model)
    snapshot = write_snapshot(settings, now)
    checkpoint = fit_snapshot(snapshot, settings.checkpoints, settings.glossary, config, lambda _: None)
    return register(settings, checkpoint, *evaluate_holdout(settings, checkpoint, now), now)


def ask(settings: Settings, query: str) -> list[tuple]:
    publish_tables(settings, LATER)
    return query_published(settings.published, query).rows()


def summary_of(settings: Settings, width: int = 200) -> str:
    """What `daycast run` would print, without what it makes."""
    publish_tables(settings, LATER)
    return render_summary(summarise(settings, LATER, [], None, changes=find_changes(settings, LATER)), width)


@pytest.fixture
def changed(trained: Trained) -> Settings:
    """A simulated network was served; then one's own CSV file took its place in the configuration, and was ingested."""
    before = trained.settings.model_copy(update={"model": replace(trained.settings.model, targets=(), inputs=())})
    folder = before.data.parent
    issue_forecasts(before, TRAINED_AT)
    write_readings(folder / "readings" / "garden.csv", HOUR_NOW, 70, ["garden", "roof"])
    own = own_settings(folder)
    ingest_source(own, own.sources[0], LATER)
    return own


@pytest.mark.slow
def test_ones_own_stations_in_place_of_others_are_served_by_a_model_of_their_own(changed: Settings) -> None:
    # before: "Retraining not due", S0001 to S0004 stayed, gru of theirs gave garden a dew point of -0.4 °C, and no gusts
    assert not has_champion(changed, LATER)
    assert minutes_due(changed, LATER) == changed.model.first_max_minutes
    first = find_changes(changed, LATER)
    assert "S0001, S0002, S0003 and 1 more: no longer served" in first
    assert "garden, roof: never seen by the model" in first
    outcome = retrain(changed, LATER)
    assert outcome.decision.promoted
    assert "champion" not in outcome.decision.rivals  # it knew none of these stations
    assert find_changes(changed, LATER) == ()
    assert minutes_due(changed, LATER) is None
    issue_forecasts(changed, LATER)
    assert ask(changed, "select distinct station_id from latest_forecasts order by 1") == [("garden",), ("roof",)]
    assert ask(changed, "select distinct station_id from next_hours order by 1") == [("garden",), ("roof",)]
    forecast = {name for (name,) in ask(changed, "select distinct variable from latest_forecasts")}
    assert forecast == set(COLUMNS)  # gusts, which are reported; and no dew point, which nobody reports
    assert ask(changed, "select distinct input_regime, model_id from latest_forecasts") == [("full", outcome.model_id)]


@pytest.mark.slow
def test_until_that_model_is_there_the_base_network_serves_what_it_knows(changed: Settings, caplog) -> None:
    rows = issue_forecasts(changed, LATER)
    assert "was trained on none of these stations" in caplog.text
    assert set(rows["forecaster"]) == {"base"}
    assert set(rows["station_id"]) == {"garden", "roof"}
    assert set(rows["variable"]) <= set(COLUMNS) - {"wind_gust_m_s"}
    now = rows.filter(pl.col("variable") == "air_temperature_c", pl.col("lead_hours") == 1)["value"]
    assert now.is_between(8, 13).all()


@pytest.mark.slow
def test_summary_doctor_and_report_say_what_is_retired_and_changed(changed: Settings) -> None:
    line = "simulated (4 stations): no longer configured, its history is kept; configure it again to serve it"
    said = summary_of(changed)
    assert f"Retired     {line}" in said
    assert re.search(r"Changed .*\n +garden, roof: never seen by the model\n", said)
    assert "silent" not in said
    warned = [str(one) for one in examine(changed, LATER)]
    assert f"warn retired: {line}" in warned
    page = write_report(changed, LATER).read_text()
    assert line in page
    assert "<td>S0001</td>" not in page
    assert [str(one) for one in list_sources(changed, LATER)] == ["garden: 2 stations, served", line]


@pytest.mark.slow
def test_a_source_that_is_configured_again_serves_again_with_its_history(changed: Settings, trained: Trained) -> None:
    retrain(changed, LATER)
    issue_forecasts(changed, LATER)
    assert ask(changed, "select count(distinct station_id) from latest_forecasts") == [(2,)]
    assert ask(changed, "select station_id, source from retired_stations order by 1")[0] == ("S0001", "simulated")
    assert ask(changed, "select count(distinct station_id) from forecasts") == [(6,)]
    back = trained.settings
    assert has_champion(changed, LATER)
    assert "S0001, S0002, S0003 and 1 more: never seen by the model" in find_changes(back, LATER)
    assert "garden, roof: no longer served" in find_changes(back, LATER)
    assert ask(back, "select distinct station_id from latest_forecasts order by 1 limit 2") == [("S0001",), ("S0002",)]


def test_a_source_is_retired_and_restored_by_hand(trained: Trained) -> None:
    settings = trained.settings
    issue_forecasts(settings, TRAINED_AT)
    assert ask(settings, "select count(distinct station_id) from latest_forecasts") == [(4,)]
    assert "simulated (4 stations): retired on 2026-02-05, its history is kept" in str(
        retire(settings, "simulated", LATER)
    )
    assert ask(settings, "select count(*) from latest_forecasts") == [(0,)]
    with pytest.raises(NotEnoughDataError, match="no station reported"):
        issue_forecasts(settings, LATER)
    with pytest.raises(ConfigError, match=r"'S0001' is retired: `daycast sources list`"):
        plan_forecasts(settings, LATER, stations=["S0001"])
    assert str(restore(settings, "simulated", LATER)) == "simulated: 4 stations, served"
    assert ask(settings, "select count(distinct station_id) from latest_forecasts") == [(4,)]
    assert len(issue_forecasts(settings, LATER)) == 4 * 2 * 24
    with pytest.raises(ConfigError, match=r"no source 'simulate'.*simulated"):
        retire(settings, "simulate", LATER)


def test_a_station_that_another_source_delivers_too_stays(tmp_path: Path) -> None:
    write_readings(tmp_path / "readings" / "old.csv", HOUR_NOW, 3, ["garden", "shed"])
    write_readings(tmp_path / "readings" / "new.csv", HOUR_NOW, 3, ["garden"])
    old, new = own_settings(tmp_path, "old"), own_settings(tmp_path, "new")
    ingest_source(old, old.sources[0], TRAINED_AT)
    ingest_source(new, new.sources[0], LATER)
    state = next(one for one in list_sources(new, LATER) if one.source == "old")
    assert (state.stations, state.retired) == (2, 1)
    assert "1 of them served by other sources" in str(state)
    assert ask(new, "select station_id from retired_stations") == [("shed",)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"columns": {name: column for name, column in COLUMNS.items() if name != "wind_gust_m_s"}},
            "wind_gust_m_s: not to be",
        ),
        (
            {"model": {**FREE, "targets": ["air_temperature_c"]}},
            "precipitation_mm, relative_humidity_pct, wind_gust_m_s",
        ),
        ({"model": {**FREE, "inputs": ["wind_gust_m_s"]}}, ""),
    ],
    ids=["a variable is not mapped any more", "other targets", "all variables are targets, so none is an input only"],
)
@pytest.mark.slow
def test_variables_and_targets_that_change_make_a_retraining_due_at_once(
    own_once: Settings, tmp_path: Path, change, said
) -> None:
    settings = own_copy(own_once, tmp_path, **change)
    assert find_changes(own_copy(own_once, tmp_path / "same"), TRAINED_AT) == ()
    found = "; ".join(find_changes(settings, TRAINED_AT))
    assert (said in found) if said else found == ""
    assert minutes_due(settings, TRAINED_AT) == (settings.model.max_minutes if said else None)
    if not said:
        return
    outcome = retrain(settings, LATER)
    assert outcome.decision.promoted  # whatever the champion's scores: it forecasts other variables
    assert minutes_due(settings, LATER) is None
    rows = issue_forecasts(settings, LATER)
    assert set(rows["variable"]) == (set(COLUMNS) - {"wind_gust_m_s"} if "columns" in change else {"air_temperature_c"})


@pytest.mark.slow
def test_what_is_not_mapped_any_more_is_not_forecast_by_the_old_model_either(
    own_once: Settings, tmp_path: Path
) -> None:
    columns = {name: column for name, column in COLUMNS.items() if name != "relative_humidity_pct"}
    rows = issue_forecasts(own_copy(own_once, tmp_path, columns=columns), TRAINED_AT)
    assert set(rows["variable"]) == set(columns)


@pytest.mark.slow
@pytest.mark.parametrize(("days", "due"), [(1, False), (3, True)])
def test_a_station_that_the_model_never_saw_counts_once_it_has_a_day_to_learn_from(
    own_once: Settings, tmp_path: Path, days: int, due: bool
) -> None:
    settings = own_copy(own_once, tmp_path)
    write_readings(tmp_path / "readings" / "garden2.csv", HOUR_NOW, days, ["greenhouse"])
    ingest_source(settings, settings.sources[0], LATER)
    assert find_changes(settings, LATER) == (("greenhouse: never seen by the model",) if due else ())
    assert "greenhouse" in set(issue_forecasts(settings, LATER)["station_id"])  # it is served in any case
    if due:
        retrain(settings, LATER)
        assert minutes_due(settings, LATER) is None


@pytest.fixture(scope="module")
def own_once(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Two stations of one's own with 70 days of history, and a model of their own. Read only."""
    folder = tmp_path_factory.mktemp("own_once")
    write_readings(folder / "readings" / "garden.csv", HOUR_NOW, 70, ["garden", "roof"])
    settings = own_settings(folder)
    ingest_source(settings, settings.sources[0], TRAINED_AT)
    retrain(settings, TRAINED_AT)
    return settings


def own_copy(settings: Settings, folder: Path, **change: object) -> Settings:
    shutil.copytree(settings.data, folder / "data")
    return own_settings(folder, **change)


def test_the_demonstration_keeps_its_state_apart(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    demonstration = load_settings()
    assert demonstration.data == tmp_path / "data" / "demo"
    (tmp_path / "daycast.toml").write_text('[[sources]]\nkind = "simulated"\n')
    configured = load_settings()
    assert (configured.data, configured.demonstration) == (tmp_path / "data", None)
    demonstration.data.mkdir(parents=True)
    assert configured.demonstration == demonstration.data
    assert demonstration.demonstration is None
    (tmp_path / "daycast.toml").write_text('data = "state"\n')  # named, so that is where it is
    assert load_settings().data == tmp_path / "state"
    (tmp_path / "daycast.toml").write_text("[model]\nhidden_size = 16\n")  # still the simulated network
    assert load_settings().data == tmp_path / "data" / "demo"


def test_the_summary_says_that_nothing_of_the_demonstration_is_used(tmp_path: Path) -> None:
    write_readings(tmp_path / "readings" / "garden.csv", HOUR_NOW, 2, ["garden"])
    settings = own_settings(tmp_path)
    assert "demonstration" not in summary_of(settings)
    (tmp_path / "data" / "demo").mkdir(parents=True)
    assert re.search(r"Apart\s+the demonstration; nothing of it is used here: .*data/demo", summary_of(settings))


def test_the_command_lists_retires_and_restores(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    write_readings(tmp_path / "readings" / "garden.csv", HOUR_NOW, 2, ["garden"])
    (tmp_path / "daycast.toml").write_text(
        '[[sources]]\nkind = "csv"\nname = "garden"\nfiles = "readings/*.csv"\nstation = "station"\ntime = "time"\n'
        'columns = { air_temperature_c = "temp" }\n'
    )
    settings = load_settings()
    ingest_source(settings, settings.sources[0], TRAINED_AT)
    assert main(["sources", "list"]) == 0
    assert main(["sources", "retire", "garden"]) == 0
    assert main(["sources", "retire"]) == 1
    assert main(["sources", "restore", "garden"]) == 0
    said, errors = capsys.readouterr()
    assert said.splitlines()[0] == said.splitlines()[-1] == "garden: 1 station, served"
    assert "`daycast sources restore garden` to serve it" in said
    assert "needs the name of a source" in errors
