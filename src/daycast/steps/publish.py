"""A picture of what was just forecast."""

import json
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from daycast.quality.flags import keep_usable
from daycast.report import charts as forecast_image
from daycast.report.page import Page, write_page
from daycast.report.skill import Champion, SkillSpan, read_holdout_result
from daycast.report.summary import Account, Issue, Rejection, Silence, Summary
from daycast.settings import Settings
from daycast.times import HOUR, parse_duration
from daycast.warehouse.forecasts import read_forecast_count, read_skill
from daycast.warehouse.models import ModelRow, read_champion, read_drifts, read_fallbacks, read_models
from daycast.warehouse.publish.history import remove_unnamed
from daycast.warehouse.publish.publication import publish
from daycast.warehouse.warehouse import read_frame

if TYPE_CHECKING:
    import duckdb

    from daycast.steps.train import Outcome  # loads torch, which a report does not need


# Give analysts the newest tables.


def publish_tables(settings: Settings, now: datetime) -> Path:
    """Replace the published file by one with all that is in the warehouse, and return its path."""
    with settings.warehouse.write(now) as con:
        publish(con, settings.published, settings.publish.parquet_above)
        remove_unnamed(settings.published, now)
    return settings.published


# Tell people what there is: the summary at the end of a run, and the report page.


SHOWN_STATIONS = 6  # with their forecasts on the page
SHOWN_HISTORY = 48 * HOUR  # of observations before them
SHOWN_BATCHES = 10
REJECTIONS_OF = timedelta(days=7)


def summarise(
    settings: Settings,
    now: datetime,
    ingested: Sequence[Account],
    retrained: "Outcome | None",
    began: datetime | None = None,
    until: datetime | None = None,
) -> Summary:
    """What the run from `began` to `now` did and what stands after it; silences and forecasts as of `until`, by default `now`.

    retrained: the outcome of its retraining, None where none was due.
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
        drifts = read_drifts(con)
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
        drifts=drifts,
    )


def write_report(settings: Settings, now: datetime, until: datetime | None = None) -> Path:
    """Write the report page in place of the former one, and return its path.

    Forecasts, observations and silences are shown as of `until`, by default `now`; the models, their scores and what was
    ingested as they stand now.
    """
    glossary, as_of = settings.glossary, until or now
    with settings.warehouse.read(now) as con:
        champion, skill = read_champion(con), read_skill(con)
        forecasts = read_frame(con, "select_forecasts_of_first_stations", stations=SHOWN_STATIONS, as_of=as_of)
        page = Page(
            now=as_of,
            champion=_champion(champion),
            result=read_holdout_result(json.loads(champion.decision), champion.forecaster) if champion else None,
            fallbacks=read_fallbacks(con, champion.model_id) if champion else (),
            skill=skill,
            by_lead=read_frame(con, "select_skill_by_lead", basis=skill["basis"][0] if len(skill) else "judged"),
            span=_read_span(con),
            forecasts=forecasts,
            observations=keep_usable(_read_history(con, forecasts, as_of), list(glossary)),
            regimes=dict(read_frame(con, "select_forecast_regimes", as_of=as_of).iter_rows()),
            coverage=read_frame(con, "select_station_coverage"),
            silent_before=as_of - parse_duration(settings.ingest.silent_after),
            batches=read_frame(con, "select_last_batches", batches=SHOWN_BATCHES),
            rejections=read_frame(con, "select_rejections", since=now - REJECTIONS_OF, until=now),
            variables=glossary,
            drifts=read_drifts(con),
        )
    write_page(settings.report, page)
    return settings.report


def _read_span(con: "duckdb.DuckDBPyConnection") -> SkillSpan:
    return SkillSpan(**read_frame(con, "select_skill_span").row(0, named=True))


def _read_history(con: "duckdb.DuckDBPyConnection", forecasts: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """Observations of the stations of `forecasts`, from before their hour of issue up to `now`."""
    since: Any = forecasts["issued_at"].min() or now
    stations = forecasts["station_id"].unique().to_list()
    return read_frame(con, "select_recent_observations", stations=stations, since=since - SHOWN_HISTORY, until=now)


def _champion(row: ModelRow | None) -> Champion | None:
    return Champion(**{field.name: getattr(row, field.name) for field in fields(Champion)}) if row else None


_HISTORY = timedelta(hours=48)  # of observations before it


def draw_forecast(settings: Settings, now: datetime, forecasts: pl.DataFrame) -> str:
    """The first station and variable of forecasts of one hour of issue, with what was observed before, as a data URL."""
    station, name = forecasts["station_id"][0], forecasts["variable"][0]
    issued_at: datetime = forecasts["issued_at"][0]
    with settings.warehouse.read(now) as con:
        seen = read_frame(
            con, "select_recent_observations", stations=[station], since=issued_at - _HISTORY, until=issued_at
        )
    shown = forecasts.filter(pl.col("station_id") == station, pl.col("variable") == name)
    return forecast_image.draw_forecast(shown, keep_usable(seen, list(settings.glossary)), settings.glossary[name])
