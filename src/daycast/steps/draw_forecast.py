"""A picture of what was just forecast."""

from datetime import datetime, timedelta

import polars as pl

from daycast.quality.flags import keep_usable
from daycast.report import forecast_image
from daycast.settings import Settings
from daycast.warehouse.connect import open_warehouse, read_frame

_HISTORY = timedelta(hours=48)  # of observations before it


def draw_forecast(settings: Settings, now: datetime, forecasts: pl.DataFrame) -> str:
    """The first station and variable of forecasts of one hour of issue, with what was observed before, as a data URL."""
    station, name = forecasts["station_id"][0], forecasts["variable"][0]
    issued_at: datetime = forecasts["issued_at"][0]
    with open_warehouse(settings.warehouse, settings.glossary.values(), now) as con:
        seen = read_frame(
            con, "select_recent_observations", stations=[station], since=issued_at - _HISTORY, until=issued_at
        )
    shown = forecasts.filter(pl.col("station_id") == station, pl.col("variable") == name)
    return forecast_image.draw_forecast(shown, keep_usable(seen, list(settings.glossary)), settings.glossary[name])
