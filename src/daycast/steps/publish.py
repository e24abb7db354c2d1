"""Publish: what people read of a run. The published tables, the summary in the terminal, the report page, and a picture."""

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from daycast.errors import did_you_mean
from daycast.quality.flags import keep_usable
from daycast.report import charts
from daycast.report.page import Page, write_page
from daycast.report.skill import Champion, SkillSpan, read_holdout_result
from daycast.report.station_data import HISTORY_H, HORIZON_H, find_time_zones
from daycast.report.summary import Account, Issue, Rejection, Silence, Summary
from daycast.settings import Settings
from daycast.steps.serving import read_sources, update_retirements
from daycast.times import HOUR, parse_duration
from daycast.warehouse.forecasts import read_forecast_count, read_skill
from daycast.warehouse.models import ModelRow, read_champion, read_drifts, read_fallbacks, read_models
from daycast.warehouse.publish.history import remove_unnamed
from daycast.warehouse.publish.publication import publish
from daycast.warehouse.warehouse import read_frame

if TYPE_CHECKING:
    import duckdb

    from daycast.steps.train import Outcome  # loads torch, which a report does not need

SHOWN_BATCHES = 10
_SHOWN_HISTORY = HISTORY_H * HOUR  # of observations before the hour of issue
_log = logging.getLogger("daycast")
_REJECTIONS_WINDOW = timedelta(days=7)


def publish_tables(settings: Settings, now: datetime, _until: datetime | None = None) -> Path:
    """Replace the published file by one with the present tables of the warehouse. Returns its path.

    All tables are published, whatever the moment of `--until` is.
    """
    with settings.warehouse.write(now) as con:
        update_retirements(con, settings, now)
        publish(con, settings.published, settings.publish.parquet_above)
        remove_unnamed(settings.published, now)
    return settings.published


def summarise(
    settings: Settings,
    now: datetime,
    ingested: Sequence[Account],
    retrained: "Outcome | None",
    began: datetime | None = None,
    until: datetime | None = None,
    changes: Sequence[str] = (),
) -> Summary:
    """The summary of the run from `began` to `now`: what it did, and the state of the network after it.

    ingested: one account per source. retrained: the outcome of the retraining; None if none was due. changes: what made it due at
    once. Silent stations and
    forecasts are as of `until`, by default `now`.
    """
    as_of = until or now
    with settings.warehouse.read(now) as con:
        champion, skill, span = read_champion(con), read_skill(con), _read_span(con)
        registered: datetime | None = read_models(con)["registered_at"].max()  # type: ignore[assignment]
        rejections = read_frame(con, "select_rejections", since=began or now, until=now)
        silent = read_frame(
            con, "select_silent_stations", now=as_of, since=as_of - parse_duration(settings.ingest.silent_after)
        )
        count = read_forecast_count(con, as_of)
        first = read_frame(con, "select_forecasts_of_first_stations", stations=1, as_of=as_of)
        drifts, retired = read_drifts(con), _retired(con, settings)
        fallbacks = read_fallbacks(con, champion.model_id) if champion else ()
    return Summary(
        now=as_of,
        ingested=tuple(ingested),
        rejections=tuple(Rejection(row["column_name"], row["reason"], row["n"]) for row in rejections.to_dicts()),
        silent=tuple(Silence(**row) for row in silent.to_dicts()),
        silent_after=settings.ingest.silent_after,
        retraining=retrained.decision.reason if retrained else None,
        next_due=registered + parse_duration(settings.retrain.every) if registered else None,
        champion=_champion(champion),
        skill=skill,
        span=span,
        issue=None if first.is_empty() else Issue(**count, example_station=first["station_id"][0]),  # type: ignore[arg-type]
        variables=settings.glossary,
        published=settings.published,
        report=settings.report,
        fallbacks=fallbacks,
        drifts=drifts,
        changes=tuple(changes),
        retired=retired,
        demonstration=settings.demonstration,
    )


def _retired(con: "duckdb.DuckDBPyConnection", settings: Settings) -> tuple[str, ...]:
    """The sources whose stations are not served any more, in words; those that never delivered any are left out."""
    return tuple(str(one) for one in read_sources(con, settings) if one.is_retired and one.stations)


def write_report(settings: Settings, now: datetime, until: datetime | None = None) -> Path:
    """Write the report page, replacing the previous one. Returns its path.

    Forecasts, observations and silent stations are as of `until`, by default `now`; models, scores and batches as they are now.
    """
    glossary, as_of = settings.glossary, until or now
    with settings.warehouse.read(now) as con:
        champion, skill = read_champion(con), read_skill(con)
        forecasts = read_frame(con, "select_newest_issues", since=as_of - HORIZON_H * HOUR, as_of=as_of)
        page = Page(
            now=as_of,
            champion=_champion(champion),
            result=read_holdout_result(json.loads(champion.decision), champion.forecaster) if champion else None,
            fallbacks=read_fallbacks(con, champion.model_id) if champion else (),
            skill=skill,
            by_lead=read_frame(con, "select_skill_by_lead", basis=skill["basis"][0] if len(skill) else "judged"),
            span=_read_span(con),
            forecasts=forecasts,
            observations=_read_history(con, forecasts, as_of),
            coverage=read_frame(con, "select_station_coverage", as_of=as_of),
            silent_before=as_of - parse_duration(settings.ingest.silent_after),
            batches=read_frame(con, "select_last_batches", batches=SHOWN_BATCHES),
            rejections=read_frame(con, "select_rejections", since=now - _REJECTIONS_WINDOW, until=now),
            variables=glossary,
            drifts=read_drifts(con),
            issued_at=read_forecast_count(con, as_of)["issued_at"],  # type: ignore[arg-type]
            retired=_retired(con, settings),
        )
    _warn_of_unknown_stations(settings.stations.timezones, page.coverage["station_id"])
    zones = find_time_zones(page.coverage, settings.stations.timezone, settings.stations.timezones)
    write_page(
        settings.report,
        replace(
            page,
            coverage=page.coverage.with_columns(time_zone=zones),
            observations=keep_usable(page.observations, list(glossary)),
        ),
    )
    return settings.report


def _warn_of_unknown_stations(named: Iterable[str], known: pl.Series) -> None:
    ids = set(known)
    for name in sorted(set(named) - ids):
        _log.warning("stations.timezones names %r, no station%s", name, did_you_mean(name, ids))


OUTPUTS: dict[str, Callable[[Settings, datetime, datetime | None], Path]] = {
    "Tables": publish_tables,
    "Report": write_report,
}
"""What each run, and the flow `publish`, makes for readers, by the name in its summary: (settings, now, until) -> the file."""


def _read_span(con: "duckdb.DuckDBPyConnection") -> SkillSpan:
    return SkillSpan(**read_frame(con, "select_skill_span").row(0, named=True))


def _read_history(con: "duckdb.DuckDBPyConnection", forecasts: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """The observations of all stations, from 48 hours before the newest hour of issue up to `now`."""
    newest: Any = forecasts["issued_at"].max() or now
    return read_frame(con, "select_recent_observations", station=None, since=newest - _SHOWN_HISTORY, until=now)


def _champion(row: ModelRow | None) -> Champion | None:
    return Champion(**{field.name: getattr(row, field.name) for field in fields(Champion)}) if row else None


def draw_forecast(settings: Settings, now: datetime, forecasts: pl.DataFrame) -> str:
    """A picture of the first station and variable of `forecasts` with the observations before them, as a data URL.

    forecasts: rows of one hour of issue, not empty.
    """
    station, name = forecasts["station_id"][0], forecasts["variable"][0]
    issued_at: datetime = forecasts["issued_at"][0]
    with settings.warehouse.read(now) as con:
        observations = read_frame(
            con, "select_recent_observations", station=station, since=issued_at - _SHOWN_HISTORY, until=issued_at
        )
    shown = forecasts.filter(pl.col("station_id") == station, pl.col("variable") == name)
    return charts.draw_forecast(shown, keep_usable(observations, list(settings.glossary)), settings.glossary[name])
