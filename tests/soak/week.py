"""A week of operation with a moved clock, after days in which its champion has been scored and its thermometers turned over."""

import statistics
import time
from dataclasses import dataclass
from datetime import datetime

from daycast.settings import DriftSettings, Settings
from daycast.settings.sections import RetentionSettings
from daycast.steps.calibrate import calibrate
from daycast.steps.forecast import issue_forecasts
from daycast.steps.ingest import ingest_source
from daycast.steps.maintain import maintain
from daycast.steps.train import Outcome
from daycast.steps.verify import verify_forecasts
from daycast.times import DAY, HOUR
from daycast.warehouse.models import read_champion
from daycast.warehouse.publish.query import query_published
from integration.conftest import Trained
from soak.hours import Hour, Troubled, operate, retrain, worse

HOURS, RUN_UP = 168, 9 * DAY
TURNED = -6 * DAY  # from the week's begin: eight days are the fewest that prove anything
SILENT = (96, 144)  # hours of the week in which the source has no answer
WORSE = 154  # the hour of the week in which a network is trained that hardly learns
MAINTAINED = 2  # o'clock
DRIFT = DriftSettings(days=8, lasting=1)
RETENTION = RetentionSettings(models=0)  # none but those that serve, served last, are newest, or have forecasts


@dataclass(frozen=True)
class Week:
    """What a week of operation left."""

    settings: Settings
    source: Troubled
    begin: datetime
    hours: list[Hour]
    rows: list[int]  # of the growing tables, by hour
    refused: Outcome
    champions: tuple[str, str]  # before that refusal, and after it

    @property
    def end(self) -> datetime:
        """The moment of the last hour."""
        return self.hours[-1].now

    def ask(self, query: str) -> list[dict[str, object]]:
        """The answer of the published file."""
        return query_published(self.settings.published, query).to_dicts()


def simulate_week(trained: Trained) -> Week:
    """Run up to it, then live through it, and print a line for each day."""
    settings = trained.settings.model_copy(update={"drift": DRIFT, "retention": RETENTION})
    begin = trained.at + HOUR + RUN_UP
    silent = (begin + SILENT[0] * HOUR, begin + SILENT[1] * HOUR)
    source = Troubled(settings.sources[0], silent, begin + TURNED)
    run_up(settings, source, trained.at + HOUR, begin)
    hours, rows, started = [], [], time.monotonic()
    for k in range(HOURS):
        now = begin + k * HOUR
        hours.append(operate(settings, source, now))
        rows.append(count_rows(settings))
        if now.hour == MAINTAINED:
            maintain(settings, now)
        if k == WORSE:
            before, refused, after = champion(settings, now), retrain(worse(settings), now), champion(settings, now)
        if (k + 1) % 24 == 0:
            tell_day(hours, rows, time.monotonic() - started)
    return Week(settings, source, begin, hours, rows, refused, (before, after))


def run_up(settings: Settings, source: Troubled, first: datetime, begin: datetime) -> None:
    """Forecast every hour before the week, so that it has drifts to prove. Readings come once a day, each with its receipt."""
    for day in range((begin - first) // DAY):
        ingest_source(settings, source, first + (day + 1) * DAY - HOUR)
        for hour in range(24):
            issue_forecasts(settings, first + day * DAY + hour * HOUR)
        verify_forecasts(settings, first + (day + 1) * DAY - HOUR)
        calibrate(settings, first + (day + 1) * DAY - HOUR)


def champion(settings: Settings, now: datetime) -> str:
    """Who serves."""
    with settings.warehouse.write(now) as con:
        return read_champion(con).model_id


def count_rows(settings: Settings) -> int:
    """Of the tables that grow by the hour."""
    tables = ("forecasts", "scores", "observation_versions")
    counts = " + ".join(f"(select count(*) from {table})" for table in tables)
    return int(query_published(settings.published, f"select {counts}").item())


def tell_day(hours: list[Hour], rows: list[int], took_s: float) -> None:
    """Print how the last day went."""
    last, cpu_s = hours[-1], statistics.median(hour.cpu_s for hour in hours[-24:])
    disk = ", ".join(f"{name} {size:.1f}" for name, size in last.disk_mb.items())
    print(
        f"{len(hours):4} hours in {took_s:4.0f} s: {cpu_s:.2f} CPU s a cycle; {rows[-1]:8,} rows; "
        f"{last.memory_mb:4.0f} MB in memory; MB on disk: {disk}",
        flush=True,
    )
