"""Somebody's own CSV file: weather stations without a dew point, and, if wanted, one that reports soil moisture alone."""

import math
import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from daycast.settings import Settings
from integration.conftest import MODEL

COLUMNS = {
    "air_temperature_c": "temp",
    "relative_humidity_pct": "rh",
    "wind_speed_m_s": "wind",
    "wind_gust_m_s": "gust",
    "precipitation_mm": "rain",
}
SOIL = {"soil_moisture_pct": {"unit": "%", "valid_min": 0, "valid_max": 100}}
FREE = {**MODEL, "targets": [], "inputs": []}  # whatever is reported is forecast


def write_readings(
    file: Path, until: datetime, days: int, stations: Sequence[str], soil_only: Sequence[str] = ()
) -> None:
    """Hourly readings up to `until`, when it is 10.2 °C with a relative humidity of 86 % everywhere."""
    rows, chance = ["time,station,temp,rh,wind,gust,rain,soil"], random.Random(4)
    for station in (*stations, *soil_only):
        departure, temperatures = 0.0, []
        for hour in range(-days * 24, 1):
            departure = 0.97 * departure + chance.gauss(0, 0.4)
            temperatures.append(3 * math.sin(2 * math.pi * (hour - 9) / 24) + departure)
        for hour, temperature in zip(range(-days * 24, 1), temperatures, strict=True):
            celsius = 10.2 + temperature - temperatures[-1]
            humidity, wind = min(99.0, max(40.0, 86 - 2 * (celsius - 10.2))), abs(chance.gauss(3, 1))
            weather = (
                f"{celsius:.1f},{humidity:.0f},{wind:.1f},{1.6 * wind + 0.2:.1f},{0.4 * (chance.random() < 0.1):.1f},"
            )
            soil = f",,,,,{30 + celsius / 10:.1f}"
            stamp = f"{until + timedelta(hours=hour):%Y-%m-%dT%H:%MZ}"
            rows.append(f"{stamp},{station},{soil if station in soil_only else weather}")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(rows) + "\n")


def own_settings(folder: Path, name: str = "garden", columns: dict[str, str] | None = None, **more: Any) -> Settings:
    """The settings that read `readings/NAME*.csv`, with a model that is fitted in a second."""
    source = {
        "kind": "csv",
        "name": name,
        "files": f"readings/{name}*.csv",
        "station": {"column": "station"},
        "time": {"column": "time"},
        "columns": columns or COLUMNS,
    }
    return Settings.model_validate(
        {"data": "data", "sources": [source], "model": FREE, **more}, context={"folder": folder}
    )
