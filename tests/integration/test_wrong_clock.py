"""A clock that is wrong once: nothing is lost for it, it is told, and what it wrote is put right."""

import logging
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import polars as pl
import pytest

from daycast.settings import Settings
from daycast.settings.sections import RetentionSettings
from daycast.sources.batch import READING_KEYS, SourceBatch
from daycast.stations import STATION_SCHEMA
from daycast.steps.forecast import issue_forecasts
from daycast.steps.ingest import Ingested, ingest_source
from daycast.steps.maintain import maintain
from daycast.steps.record_run import recorded
from daycast.steps.train import minutes_due
from daycast.steps.verify import verify_forecasts
from daycast.times import DAY, HOUR, floor_hour
from daycast.variables import Variable
from integration.by_hand import by_hand

pytestmark = pytest.mark.slow

NOW = datetime(2026, 2, 4, 0, 5, tzinfo=UTC)
YEARS = 3652 * DAY  # ten
WARMTH = "air_temperature_c"
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Service:
    """A source that answers for spans of time, with a reading an hour up to `last`, some of which say something else by now."""

    last: datetime
    corrected: tuple[datetime, ...] = ()
    receipt: Literal["stated", "assumed"] = "assumed"
    resumes: bool = True
    name: str = "service"

    def fetch(
        self,
        since: datetime | None,
        until: datetime,
        variables: Mapping[str, Variable],  # noqa: ARG002 - the protocol's
        seen: Collection[str],  # noqa: ARG002
    ) -> Iterator[SourceBatch]:
        first = NOW - 3 * DAY if self.corrected or since is None else since
        hours = pl.datetime_range(floor_hour(first), self.last, "1h", eager=True, time_zone="UTC").cast(
            READING_KEYS["observed_at"]
        )
        observed = pl.col("observed_at")
        rows = hours.to_frame("observed_at").select(
            station_id=pl.lit("a"), observed_at=observed, received_at=observed + MINUTE
        )
        value = pl.when(pl.col("observed_at").is_in(list(self.corrected))).then(9.0).otherwise(1.0)
        inside = (pl.col("received_at") > first) & (pl.col("received_at") <= until)
        rows = rows.filter(inside).with_columns(value.alias(WARMTH))
        if len(rows):
            yield by_hand(rows, origin=f"{since} to {until}", receipt=self.receipt)

    def stations(self) -> pl.DataFrame:
        return pl.DataFrame(schema=STATION_SCHEMA)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.model_validate({}, context={"folder": tmp_path})


@pytest.fixture
def warned(caplog):
    """The warnings since it was last asked."""
    caplog.set_level(logging.WARNING, "daycast")

    def since_last() -> list[str]:
        messages = [record.getMessage() for record in caplog.records if record.name == "daycast"]
        caplog.clear()
        return messages

    return since_last


def ask(settings: Settings, query: str, now: datetime = NOW) -> list[tuple]:
    with settings.warehouse.write(now) as con:
        return con.execute(query).fetchall()


def ingest(settings: Settings, now: datetime, *corrected: datetime, last: datetime | None = None) -> Ingested:
    """At a time that the clock shows; `last` is when the newest reading is of, and the right time by and large."""
    return ingest_source(settings, Service(floor_hour(last or now), corrected), now)


def run(settings: Settings, now: datetime) -> None:
    with recorded(settings, "ingest", now, lambda: now):
        pass


def watermark(settings: Settings) -> datetime:
    ((time,),) = ask(settings, "select received_until from watermarks")
    return time


def test_a_clock_ten_years_ahead_once_does_not_silence_a_source(settings: Settings, warned) -> None:
    ingest(settings, NOW)
    ingest(settings, NOW + YEARS, last=NOW + HOUR)
    assert watermark(settings) <= NOW + HOUR + 31 * DAY  # by what the source said
    assert warned() == []  # nobody can know yet
    taken = ingest(settings, NOW + 3 * HOUR)
    told = warned()
    assert any("source service: its watermark 2026-03-07T01:00Z lies in the future" in line for line in told)
    assert (taken.kept - taken.repeated, watermark(settings)) == (2, NOW + 3 * HOUR)
    assert ingest(settings, NOW + 4 * HOUR).kept == 1
    assert warned() == []
    assert ask(settings, "select count(*), max(observed_at) from readings") == [(72 + 4, floor_hour(NOW) + 4 * HOUR)]


def test_a_watermark_of_the_future_that_is_there_already_is_told_and_corrected(settings: Settings, warned) -> None:
    ingest(settings, NOW)
    ask(settings, f"update watermarks set received_until = '{NOW + YEARS}'")
    assert ingest(settings, NOW + 2 * HOUR).kept == 2
    (line,) = warned()
    assert "watermark 2036-02-04T00:05Z lies in the future" in line
    assert "asked again from 2026-02-04T00:05Z on" in line


def test_a_source_that_follows_the_clock_goes_on_as_well(tmp_path: Path, warned) -> None:
    """The simulated network tells of times that are still to come if it is asked for them."""
    source = {"kind": "simulated", "stations": 1, "history": "2d"}
    settings = Settings.model_validate({"sources": [source]}, context={"folder": tmp_path})
    for now in (NOW, NOW + 40 * DAY):
        ingest_source(settings, settings.sources[0], now)
    warned()
    taken = [ingest_source(settings, settings.sources[0], NOW + hours * HOUR).delivered for hours in (5, 10)]
    assert min(taken) >= 3
    assert sum("watermark 2026-03-16T00:05Z lies in the future" in line for line in warned()) == 1


def test_corrections_that_a_clock_ahead_received_are_known_from_when_that_is_noticed(
    settings: Settings, warned
) -> None:
    ingest(settings, NOW)
    wrong = floor_hour(NOW) - 5 * HOUR
    ingest(settings, NOW + YEARS, wrong, last=NOW + HOUR)
    receipt = f"select max(received_at) from readings where observed_at = '{wrong}'"
    assert ask(settings, receipt) == [(floor_hour(NOW) + HOUR + 31 * DAY,)]
    known = f"select {WARMTH}, known_from from observations where observed_at = '{wrong}'"
    noticed = NOW + 2 * HOUR
    ingest(settings, noticed, wrong)
    assert ask(settings, receipt) == [(noticed,)]
    assert ask(settings, known) == [(9.0, noticed)]
    assert any("counts as written now" in line and "1 of readings" in line for line in warned())
    before = ask(settings, "from observation_versions order by all")
    ingest(settings, noticed + HOUR, wrong)
    assert warned() == []
    assert [row for row in ask(settings, "from observation_versions order by all") if row[1] <= before[-1][1]] == before


def test_a_second_correction_counts_though_the_clock_is_not_believed(settings: Settings) -> None:
    """An old archive: its newest observation is years ago, and each correction comes after the one before."""
    at = floor_hour(NOW) - 5 * HOUR
    ingest(settings, NOW + YEARS, last=NOW)
    ingest(settings, NOW + YEARS + HOUR, at, last=NOW)
    ingest(settings, NOW + YEARS + 2 * HOUR, at - HOUR, last=NOW)  # `at` says 1 again
    values = (
        f"select {WARMTH} from observations where observed_at between '{at - HOUR}' and '{at}' order by observed_at"
    )
    assert ask(settings, values) == [(9.0,), (1.0,)]


def test_a_clock_that_went_back_loses_nothing_and_rewrites_nothing(settings: Settings, warned) -> None:
    ingest(settings, NOW)
    run(settings, NOW)
    before = {
        table: ask(settings, f"from {table} order by all") for table in ("readings", "observation_versions", "batches")
    }
    run(settings, NOW - YEARS)
    (line,) = (line for line in warned() if "went back" in line)
    assert "it is 2016-02-05T00:05Z, the newest run was at 2026-02-04T00:05Z, 3,652 days ahead, " in line
    assert "there are observations of 2026-02-04T00:00Z: set the clock" in line
    assert ingest(settings, NOW - YEARS + MINUTE, last=NOW).delivered == 0
    run(settings, NOW - YEARS + HOUR)
    assert not any("went back" in line for line in warned())  # it was said
    assert {table: ask(settings, f"from {table} order by all") for table in before} == before
    assert ingest(settings, NOW + 2 * HOUR).kept >= 2
    assert ask(settings, "select max(observed_at) from observations") == [(floor_hour(NOW) + 2 * HOUR,)]


@pytest.mark.parametrize("behind", [HOUR + 5 * MINUTE - MINUTE / 2, 2 * HOUR, 30 * HOUR])
def test_a_clock_that_went_back_by_hours_rewrites_no_receipt(settings: Settings, behind: timedelta) -> None:
    """By the first, the newest observation lies within an hour of it, and its receipt a moment later."""
    ingest(settings, NOW)
    before = ask(settings, "from readings order by all")
    run(settings, NOW - behind)
    ingest(settings, NOW - behind, last=NOW)
    assert ask(settings, "from readings order by all") == before
    assert ask(settings, "from readings where received_at < observed_at") == []


def test_a_jump_between_two_runs_is_told_once(settings: Settings, warned) -> None:
    run(settings, NOW)
    run(settings, NOW + 30 * DAY)
    assert warned() == []
    run(settings, NOW + YEARS)
    assert warned() == ["the last run was 3,622 days ago, at 2026-03-06T00:05Z: is the clock right?"]
    for hours in (1, 2):
        run(settings, NOW + 30 * DAY + hours * HOUR)
    told = warned()
    assert told == [
        "the clock went back to 2026-03-06T01:05Z; what was written by one that was ahead counts as written now: 1 of runs"
    ]
    assert ask(settings, "select max(started_at), max(as_of) from runs") == [(NOW + 30 * DAY + 2 * HOUR,) * 2]


def test_scores_models_and_forecasts_of_a_clock_ahead_stop_nothing(trained, warned) -> None:
    settings, now = trained.settings, trained.at
    issue_forecasts(settings, now)
    issue_forecasts(settings, now + DAY)  # the clock was a day ahead
    ask(settings, f"update models set registered_at = '{now + YEARS}'")
    assert minutes_due(settings, now + HOUR) is not None
    ingest_source(settings, settings.sources[0], now + 3 * HOUR)
    assert any("of models" in line and "of forecasts" in line for line in warned())
    assert ask(settings, "select max(issued_at) from latest_forecasts") == [(floor_hour(now),)]
    assert ask(settings, "select max(registered_at) from models") == [(now + 3 * HOUR,)]
    assert verify_forecasts(settings, now + 3 * HOUR) > 0
    ask(settings, f"update scores set scored_at = '{now + YEARS}'")
    ask(settings, f"update models set registered_at = '{now + YEARS}'")  # a clock ahead writes more than scores
    ingest_source(settings, settings.sources[0], now + 9 * HOUR)
    assert ask(settings, "select max(scored_at) from scores") == [(now + 9 * HOUR,)]
    assert verify_forecasts(settings, now + 9 * HOUR) > 0


def test_a_clock_ahead_does_not_have_everything_deleted(trained) -> None:
    settings = trained.settings.model_copy(update={"retention": RetentionSettings(forecasts_days=90, scores_days=90)})
    issue_forecasts(settings, trained.at)
    assert maintain(settings, trained.at + YEARS).forecasts == 0
    assert ask(settings, "select count(*) > 0 from forecasts") == [(True,)]
