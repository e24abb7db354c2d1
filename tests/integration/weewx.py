"""Makes a database as WeeWX 4 and 5 keep it: SQLite, the table `archive` in the schema `wview`, a record every five minutes."""

import math
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

PLAIN = (
    "barometer pressure altimeter inTemp outTemp inHumidity outHumidity windSpeed windDir windGust windGustDir rainRate rain "
    "dewpoint windchill heatindex ET radiation UV extraTemp1 extraTemp2 extraTemp3 soilTemp1 soilTemp2 soilTemp3 soilTemp4 "
    "leafTemp1 leafTemp2 extraHumid1 extraHumid2 soilMoist1 soilMoist2 soilMoist3 soilMoist4 leafWet1 leafWet2 "
    "rxCheckPercent txBatteryStatus consBatteryVoltage hail hailRate heatingTemp heatingVoltage supplyVoltage "
    "referenceVoltage windBatteryStatus rainBatteryStatus outTempBatteryStatus inTempBatteryStatus"
)
KEYS = "`dateTime` {} NOT NULL UNIQUE PRIMARY KEY, `usUnits` INTEGER NOT NULL, `interval` INTEGER NOT NULL"
US, METRIC, METRIC_WX = 1, 16, 17
INTERVAL = 5  # minutes


def schema(number: str = "REAL", whole: str = "INTEGER") -> str:
    """The statement that creates the table, with the types of a database."""
    columns = ", ".join(f"`{name}` {number}" for name in PLAIN.split())
    return f"create table archive ({KEYS.format(whole)}, {columns})"


def weather(moment: datetime) -> dict[str, float]:
    """What the station measures, in daycast's variables and units."""
    hours = moment.timestamp() / 3600
    day = math.sin(2 * math.pi * (hours % 24 - 9) / 24)
    slow = math.sin(2 * math.pi * hours / 71) + 0.3 * math.sin(2 * math.pi * hours / 13)
    return {
        "air_temperature_c": 10 + 6 * day + slow,
        "dew_point_c": 5 + 2 * slow,
        "relative_humidity_pct": 75 - 10 * day + 3 * slow,
        "sea_level_pressure_hpa": 1013 + 8 * slow,
        "station_pressure_hpa": 1000 + 8 * slow,
        "wind_speed_m_s": 4 + day + slow,
        "wind_gust_m_s": 7 + day + 2 * slow,
        "wind_from_deg": 200 + 90 * slow,
        "precipitation_mm": 0.2 if moment.hour == 6 else 0.0,  # in the interval that ends then
    }


def record(moment: datetime, units: int) -> dict[str, float]:
    """A record in the units that `usUnits` names."""
    seen, is_us = weather(moment), units == US
    speed = {US: 1 / 0.44704, METRIC: 3.6, METRIC_WX: 1.0}[units]
    millimetre = {US: 1 / 25.4, METRIC: 0.1, METRIC_WX: 1.0}[units]
    hectopascal = 1 / 33.86389 if is_us else 1.0
    return {
        "dateTime": int(moment.timestamp()),
        "usUnits": units,
        "interval": INTERVAL,
        "outTemp": seen["air_temperature_c"] * 1.8 + 32 if is_us else seen["air_temperature_c"],
        "dewpoint": seen["dew_point_c"] * 1.8 + 32 if is_us else seen["dew_point_c"],
        "outHumidity": seen["relative_humidity_pct"],
        "barometer": seen["sea_level_pressure_hpa"] * hectopascal,
        "pressure": seen["station_pressure_hpa"] * hectopascal,
        "windSpeed": seen["wind_speed_m_s"] * speed,
        "windGust": seen["wind_gust_m_s"] * speed,
        "windDir": seen["wind_from_deg"],
        "rain": seen["precipitation_mm"] * millimetre,
    }


def records(until: datetime, days: int, units: int) -> list[dict[str, float]]:
    """A record every five minutes, the last at `until`."""
    count = days * 24 * 60 // INTERVAL
    return [record(until - timedelta(minutes=INTERVAL * back), units) for back in reversed(range(count))]


def make_sqlite(path: Path, until: datetime, days: int, units: int) -> None:
    """The database of a station that runs for so many days."""
    rows = records(until, days, units)
    with closing(sqlite3.connect(path)) as con, con:
        con.execute(schema())
        names = list(rows[0])
        marks = ", ".join(f":{name}" for name in names)
        con.executemany(f"insert into archive ({', '.join(f'`{name}`' for name in names)}) values ({marks})", rows)
