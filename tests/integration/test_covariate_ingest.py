"""Others' forecasts on their way in: accounted for, once each, corrections beside what they correct, refused with reasons."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from daycast.settings import Settings
from daycast.sources.batch import EXTERNAL_FORECAST_KEYS, SourceBatch
from daycast.steps.doctor import examine
from daycast.steps.ingest import Ingested, ingest_source
from daycast.steps.publish import publish_tables
from daycast.times import DAY, HOUR
from daycast.warehouse.forecasts import read_external_forecasts
from daycast.warehouse.publish.query import query_published
from integration.by_hand import ByHand, by_hand

pytestmark = pytest.mark.slow

START = datetime(2026, 2, 1, tzinfo=UTC)
NOW = START + 3 * DAY
WARMTH, WIND = "air_temperature_c", "wind_speed_m_s"
Row = tuple[str, float, float, float, float | None, float | None]  # station, issue, valid, receipt, warmth, wind


def delivery(*rows: Row, origin: str = "a run", receipt: str = "stated") -> SourceBatch:
    times = [(s, START + i * HOUR, START + v * HOUR, START + r * HOUR, w, f) for s, i, v, r, w, f in rows]
    schema = {**EXTERNAL_FORECAST_KEYS, WARMTH: pl.Float64(), WIND: pl.Float64()}
    return by_hand(pl.DataFrame(times, schema=schema, orient="row"), origin=origin, receipt=receipt)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.model_validate({}, context={"folder": tmp_path})


def ingest(settings: Settings, *deliveries: SourceBatch, now: datetime = NOW) -> Ingested:
    return ingest_source(settings, ByHand(deliveries), now)


def held(settings: Settings, as_of: datetime = NOW) -> list[tuple]:
    """(station, hour of issue, of validity, of receipt, warmth, wind) of all rows received by then."""
    with settings.warehouse.write(NOW) as con:
        rows = read_external_forecasts(con, START - DAY, NOW, as_of)
    hours = [((pl.col(name) - START).dt.total_minutes() / 60).alias(name) for name in list(EXTERNAL_FORECAST_KEYS)[1:]]
    return rows.select("station_id", *hours, WARMTH, WIND).rows()


def test_an_issue_is_stored_once_however_often_it_comes(settings: Settings) -> None:
    rows = [("a", 0, hour, 3, float(hour), None) for hour in range(1, 5)]
    first = ingest(settings, delivery(*rows))
    assert (first.delivered, first.kept, first.repeated, first.refused) == (4, 4, 0, 0)
    assert held(settings) == rows
    again = ingest(settings, delivery(*rows, origin="once more"))
    assert (again.kept, again.repeated, again.revised) == (4, 4, 0)
    assert held(settings) == rows
    with settings.warehouse.write(NOW) as con:
        assert con.execute("select count(*) from readings").fetchall() == [(0,)]
        assert con.execute("select count(*) from stations").fetchall() == [(0,)]  # a forecast makes no station


def test_a_correction_stands_beside_what_it_corrects_from_when_it_came(settings: Settings) -> None:
    ingest(settings, delivery(("a", 0, 5, 3, 1.0, 2.0)))
    corrected = ingest(settings, delivery(("a", 0, 5, 7, 9.0, None), origin="a correction"))
    assert corrected.revised == 1
    assert held(settings) == [("a", 0, 5, 3, 1.0, 2.0), ("a", 0, 5, 7, 9.0, None)]
    assert held(settings, START + 6 * HOUR) == [("a", 0, 5, 3, 1.0, 2.0)]


def test_a_correction_whose_receipt_is_assumed_was_known_when_it_was_taken_in(settings: Settings) -> None:
    ingest(settings, delivery(("a", 0, 5, 3, 1.0, 2.0), receipt="assumed"), now=START + 4 * HOUR)
    ingest(settings, delivery(("a", 0, 5, 3, 9.0, 2.0), origin="late", receipt="assumed"), now=START + 30 * HOUR)
    assert held(settings) == [("a", 0, 5, 3, 1.0, 2.0), ("a", 0, 5, 30, 9.0, 2.0)]


def test_the_same_hour_in_two_issues_is_no_repetition(settings: Settings) -> None:
    rows = [("a", 0, 12, 3, 1.0, None), ("a", 6, 12, 9, 1.0, None), ("b", 6, 12, 9, 1.0, None)]
    assert ingest(settings, delivery(*rows[:1]), delivery(*rows[1:], origin="the next")).repeated == 0
    assert held(settings) == rows


def test_rows_that_cannot_be_a_forecast_are_refused_with_the_reason(settings: Settings) -> None:
    good = [("a", 0, hour, 3, 1.0, None) for hour in range(1, 31)]
    bad = [
        ("a", 5, 5, 8, 1.0, None),
        ("a", 0.5, 6, 8, 1.0, None),
        ("a", 5, 6.5, 8, 1.0, None),
        ("a", 5, 7, 4, 1.0, None),
    ]
    bad.append(("a", 5, 8, 8, 999.0, None))
    done = ingest(settings, delivery(*good, *bad))
    assert (done.kept, done.refused) == (30, 5)
    with settings.warehouse.write(NOW) as con:
        query = "select column_name, reason, reading like '%issued_at%' from rejected_readings order by row_number"
        assert con.execute(query).fetchall() == [
            ("valid_at", "not after the hour of issue", True),
            ("issued_at", "not on the full hour", True),
            ("valid_at", "not on the full hour", True),
            ("received_at", "earlier than the issue: is the clock right?", True),
            (WARMTH, "outside -95 to 65 °C", True),
        ]


def test_readings_and_forecasts_of_one_source_are_each_stored_as_what_they_are(settings: Settings) -> None:
    source = {"kind": "simulated", "stations": 2, "history": "3d", "forecasts": True}
    both = Settings.model_validate({"sources": [source]}, context={"folder": settings.data.parent})
    ingest_source(both, both.sources[0], NOW)
    again = ingest_source(both, both.sources[0], NOW, since=NOW - 2 * DAY)
    assert again.kept == again.repeated > 0
    publish_tables(both, NOW)
    [(rows, stations)] = query_published(
        both.published, "select count(*), count(distinct station_id) from external_forecasts"
    ).rows()
    assert (rows % 96, stations) == (0, 2)
    assert rows > 8 * 96
    warehouse = next(str(finding) for finding in examine(both, NOW) if finding.check == "warehouse")
    assert f"{rows:,} hours of external forecasts for 2 stations, the newest issued 2026-02-03T18:00Z" in warehouse


def test_a_variable_that_is_declared_later_has_its_column_among_the_forecasts(settings: Settings) -> None:
    ingest(settings, delivery(("a", 0, 5, 3, 1.0, 2.0)))
    declared = {"soil_moisture_pct": {"unit": "%", "valid_min": 0, "valid_max": 100}}
    more = Settings.model_validate({"variables": declared, "data": settings.data})
    frame = delivery(("a", 6, 9, 9, 1.0, 2.0)).readings.with_columns(soil_moisture_pct=40.0)
    ingest(more, by_hand(frame))
    with more.warehouse.write(NOW) as con:
        found = con.execute("select soil_moisture_pct from external_forecasts order by issued_at").fetchall()
    assert found == [(None,), (40.0,)]
