"""A week of operation, hour by hour: `make soak`. It takes minutes, and prints how it goes."""

import shutil
import statistics
import tempfile
from pathlib import Path

import polars as pl
import pytest

from daycast.features.hourly import full_hour_after
from daycast.steps.ingest import ingest_source
from daycast.steps.publish import publish_tables
from daycast.times import HISTORY_HOURS, HORIZON_HOURS, HOUR, floor_hour
from daycast.warehouse.publish.query import query_published
from integration.conftest import Trained, small_settings, trained_once  # noqa: F401 - fixtures
from soak.hours import DOUBLED, WARMTH
from soak.week import HOURS, RUN_UP, SILENT, Week, simulate_week
from soak.week_tables import tell_drifts, tell_models, tell_skill

pytestmark = pytest.mark.soak
DAY, HALF = 24, HOURS // 2


@pytest.fixture(scope="module")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of temporary files during the week."""
    return tmp_path_factory.mktemp("temporary")


@pytest.fixture(scope="module")
def week(trained_once: Trained, temporary: Path, tmp_path_factory: pytest.TempPathFactory) -> Week:  # noqa: F811
    settings = small_settings(tmp_path_factory.mktemp("week"))
    shutil.copytree(trained_once.settings.data, settings.data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(temporary))
        patch.setenv("TMPDIR", str(temporary))
        print(f"\n{RUN_UP.days} days before the week, then its {HOURS} hours", flush=True)
        week = simulate_week(Trained(settings, trained_once.at))
    print(f"\nscores of the week and the days before\n{tell_skill(week)}")
    print(f"\ndrifts\n{tell_drifts(week)}\n\nmodels\n{tell_models(week)}")
    return week


@pytest.fixture(scope="module")
def undisturbed(week: Week, trained_once: Trained, tmp_path_factory: pytest.TempPathFactory):  # noqa: F811
    """What is published where the source was never silent, and was asked once, at the end."""
    settings = small_settings(tmp_path_factory.mktemp("undisturbed"))
    shutil.copytree(trained_once.settings.data, settings.data)
    ingest_source(settings, week.source, week.end)
    return publish_tables(settings, week.end)


def heard(week: Week, hour: int) -> list[str]:
    """The stations of which the source had told, when it last answered, anything of the 168 hours before this one of the week."""
    issued_at = floor_hour(week.hours[hour].now)
    asked = max(one.now for one in week.hours[: hour + 1] if one.ingested)
    observed = full_hour_after(pl.col("observed_at"))
    since = issued_at - HISTORY_HOURS * HOUR
    return [
        station
        for delivery in week.source.source.fetch(since, min(asked, issued_at), {}, ())
        for station in delivery.readings.filter(observed > since, observed <= issued_at)["station_id"].unique()
    ]


def test_every_hour_has_forecasts_of_all_that_was_heard_of(week: Week) -> None:
    rows = week.ask("select issued_at, station_id, variable, list(lead_hours) as leads from forecasts group by all")
    leads = {(row["issued_at"], row["station_id"], row["variable"]): sorted(row["leads"]) for row in rows}
    due = [
        (floor_hour(hour.now), station, variable)
        for number, hour in enumerate(week.hours)
        for station in set(heard(week, number))
        for variable in week.settings.model.targets
    ]
    assert len({issued_at for issued_at, _, _ in due}) == HOURS
    served = {key: of for key, of in leads.items() if key[0] >= floor_hour(week.begin)}
    assert served == {key: list(range(1, HORIZON_HOURS + 1)) for key in due}


def test_forecasts_are_stale_from_the_third_hour_of_silence_to_its_end(week: Week) -> None:
    assert [hour.ingested for hour in week.hours] == [not SILENT[0] <= k < SILENT[1] for k in range(HOURS)]
    nothing_but_stale = [k for k, hour in enumerate(week.hours) if hour.regimes == ["stale"]]
    assert nothing_but_stale == list(range(SILENT[0] + 2, SILENT[1]))


@pytest.mark.parametrize("table", ["observations_as_of('{end}'::timestamptz)", "observation_versions", "stations"])
def test_what_was_late_is_taken_in_as_if_nothing_had_happened(week: Week, undisturbed, table: str) -> None:
    query = f"select * from {table.format(end=week.end.isoformat())} order by all"
    assert query_published(week.settings.published, query).equals(query_published(undisturbed, query))


def test_some_of_it_was_late_and_some_corrected(week: Week) -> None:
    late = f"observed_at > '{week.begin}' and known_from > observed_at + interval 2 hours"
    assert week.ask(f"select observed_at from observation_versions where {late}")
    assert week.ask(f"select batch_id from batches where ingested_at > '{week.begin}' and rows_revised > 0")


@pytest.mark.parametrize("table", DOUBLED)
def test_no_row_is_there_twice(week: Week, table: str) -> None:
    assert week.ask(f"from {table} limit 1")
    assert not week.ask(f"select {DOUBLED[table]} from {table} group by all having count(*) > 1")


def test_turned_thermometers_are_a_drift_that_calls_for_a_retraining(week: Week) -> None:
    drifted = [hour for hour in week.hours if hour.drifts]
    assert [hour for hour in week.hours if hour.retrained] == drifted
    assert {drift.variable for hour in drifted for drift in hour.drifts} == {WARMTH}
    found = week.ask("select variable, measure, found_at from drifts order by all")
    noted = [(drift.variable, drift.measure, hour.now) for hour in drifted for drift in hour.drifts]
    assert [tuple(row.values()) for row in found] == sorted(noted)
    for hour in drifted:
        (model,) = week.ask(f"from models where model_id = '{hour.retrained.model_id}'")
        assert model["registered_at"] == hour.now
        assert model["reason"] == hour.retrained.decision.reason


def test_a_worse_challenger_is_refused(week: Week) -> None:
    decision = week.refused.decision
    assert not decision.promoted
    assert week.champions[0] == week.champions[1]
    (model,) = week.ask(f"from models where model_id = '{week.refused.model_id}'")
    assert (model["role"], model["promoted_at"]) == ("challenger", None)
    assert model["reason"].startswith(f"{decision.judged} is not expected to be better than ")


def test_memory_is_flat(week: Week) -> None:
    memory = [hour.memory_mb for hour in week.hours]
    assert statistics.median(memory[-DAY:]) < 1.05 * statistics.median(memory[HALF : HALF + DAY])


@pytest.mark.parametrize(("file", "bound"), [("published.duckdb", 1.05), ("warehouse.duckdb", 1.25)])
def test_a_row_takes_no_more_of_the_disk_as_they_grow(week: Week, file: str, bound: float) -> None:
    """The warehouse keeps the blocks that its largest transaction so far took, and uses them again."""
    each = [hour.disk_mb[file] / rows for hour, rows in zip(week.hours, week.rows, strict=True)]
    assert statistics.median(each[-DAY:]) < bound * statistics.median(each[HALF : HALF + DAY])


def test_no_file_is_left_that_nobody_needs(week: Week, temporary: Path) -> None:
    assert not list(temporary.iterdir())
    files = {path.name for path in week.settings.data.iterdir()}
    assert files == {"checkpoints", "published.duckdb", "snapshots", "warehouse.duckdb"}
    needed = week.ask("""
        select distinct checkpoint, data_hash
        from models
        where role = 'champion'
            or model_id in (select model_id from forecasts)
            or registered_at = (select max(registered_at) from models)
    """)
    assert {path.name for path in week.settings.checkpoints.iterdir()} == {row["checkpoint"] for row in needed}
    assert {path.name for path in week.settings.snapshots.iterdir()} == {row["data_hash"] for row in needed}


def test_no_work_is_left_undone(week: Week) -> None:
    with week.settings.warehouse.write(week.end) as con:
        waiting = con.sql("select min(since) from stale_hours").pl().item()
        assert con.execute("select count(*) from unpublished").fetchall() == [(0,)]
    assert waiting >= week.end - 3 * HOUR  # what neighbours say is asked an hour after the hour


def test_an_hour_takes_as_long_at_the_end_as_at_the_beginning(week: Week) -> None:
    took = [hour.cpu_s for hour in week.hours]
    assert statistics.median(took[-DAY:]) < 1.5 * statistics.median(took[:DAY])
