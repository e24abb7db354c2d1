"""The files of well-known loggers and services, each a few lines in its true layout: what is proposed for them reads them right.

The values are made up. What is expected was converted by hand: 50 °F are 10 °C, 10 mph 4.4704 m/s, 30 inHg 1015.917 hPa, 10 kt
5.1444 m/s, 0.1 in 2.54 mm.
"""

import tomllib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from daycast.settings import Settings
from daycast.sources import guess
from daycast.sources.batch import SourceBatch
from daycast.steps.propose import propose_source
from daycast.variables import BUILT_IN

FILES = Path(__file__).parent / "files"
NOW = datetime(2026, 6, 1, tzinfo=UTC)
MPH10, INHG30, KT10 = 4.4704, 1015.91670, 5.144444


@dataclass(frozen=True)
class Known:
    """A file in the folder `files`, and what its last row is."""

    layout: str  # part of its name
    file: str
    station: str
    observed_at: str
    values: dict[str, float | None]
    methods: dict[str, str] = field(default_factory=dict)  # cell methods, by variable


KNOWN = [
    Known(
        "TOA5",
        "ridge.dat",
        "Ridge",
        "2025-03-01T01:00Z",
        {
            "air_temperature_c": -4.25,
            "relative_humidity_pct": 70.9,
            "station_pressure_hpa": 902.4,
            "wind_speed_m_s": 2.5,
            "wind_from_deg": 268,
            "precipitation_mm": 0.2,
        },
    ),
    Known(
        "WeatherLink, software",
        "vantage.txt",
        "vantage",
        "2025-03-13T01:00Z",
        {
            "air_temperature_c": 10.0,
            "dew_point_c": 10.0,
            "relative_humidity_pct": 88,
            "wind_speed_m_s": MPH10,
            "wind_gust_m_s": 2 * MPH10,
            "wind_from_deg": 225,
            "station_pressure_hpa": INHG30,
            "precipitation_mm": 2.54,
        },
    ),
    Known(
        "WeatherLink.com",
        "barn.csv",
        "barn",
        "2025-03-13T13:00Z",
        {
            "air_temperature_c": 10.0,
            "dew_point_c": 10.0,
            "relative_humidity_pct": 82,
            "wind_speed_m_s": MPH10,
            "wind_gust_m_s": 2 * MPH10,
            "wind_from_deg": 180,
            "station_pressure_hpa": INHG30,
            "precipitation_mm": 2.54,
        },
    ),
    Known(
        "Ecowitt",
        "ecowitt.csv",
        "ecowitt",
        "2025-03-13T00:05Z",
        {
            "air_temperature_c": 8.2,
            "dew_point_c": 6.0,
            "relative_humidity_pct": 85,
            "wind_speed_m_s": 2.2,
            "wind_gust_m_s": 4.4,
            "wind_from_deg": 200,
            "sea_level_pressure_hpa": 1013.1,
            "station_pressure_hpa": 981.1,
            "precipitation_mm": 0.0,
        },
        {"precipitation_mm": "counter"},
    ),
    Known(
        "Ambient Weather",
        "yard.csv",
        "yard",
        "2025-03-13T06:05Z",
        {
            "air_temperature_c": 10.0,
            "dew_point_c": 10.0,
            "relative_humidity_pct": 77,
            "wind_speed_m_s": MPH10,
            "wind_gust_m_s": 2 * MPH10,
            "wind_from_deg": 180,
            "sea_level_pressure_hpa": INHG30,
            "station_pressure_hpa": 982.0528099999999,
            "precipitation_mm": 2.54,
        },
        {"precipitation_mm": "counter"},
    ),
    Known(
        "HOBO",
        "orchard.csv",
        "orchard",
        "2025-03-13T18:10Z",
        {"air_temperature_c": None, "relative_humidity_pct": None},
    ),
    Known(
        "Netatmo", "netatmo.csv", "Roof", "2025-03-13T00:05Z", {"air_temperature_c": 8.0, "relative_humidity_pct": 72}
    ),
    Known(
        "WeeWX, US",
        "weewx_us.csv",
        "weewx_us",
        "2025-03-13T00:00Z",
        {
            "air_temperature_c": 10.0,
            "dew_point_c": 10.0,
            "relative_humidity_pct": 81,
            "sea_level_pressure_hpa": INHG30,
            "station_pressure_hpa": 982.0528099999999,
            "wind_speed_m_s": MPH10,
            "wind_gust_m_s": 2 * MPH10,
            "wind_from_deg": 180,
            "precipitation_mm": 2.54,
        },
    ),
    Known(
        "WeeWX, metric",
        "weewx_metric.csv",
        "weewx_metric",
        "2025-03-13T00:00Z",
        {
            "air_temperature_c": 8.5,
            "relative_humidity_pct": 81,
            "sea_level_pressure_hpa": 1013,
            "wind_speed_m_s": 10,
            "wind_from_deg": None,
            "precipitation_mm": 2.5,
        },
    ),
    Known(
        "Deutscher Wetterdienst",
        "produkt_ff_stunde_20250313_20250313_03987.txt",
        "03987",
        "2025-03-13T02:00Z",
        {"wind_speed_m_s": 3.9, "wind_from_deg": 260},
    ),
    Known(
        "KNMI",
        "uurgeg_260.txt",
        "260",
        "2025-03-14T00:00Z",
        {
            "air_temperature_c": -1.2,
            "dew_point_c": -3.0,
            "relative_humidity_pct": 91,
            "sea_level_pressure_hpa": 1013.2,
            "wind_speed_m_s": 1.0,
            "wind_gust_m_s": 2.0,
            "wind_from_deg": 0,
            "precipitation_mm": 1.2,
        },
    ),
    Known(
        "Météo-France, hourly",
        "H_01_latest-2025-2026.csv",
        "01089001",
        "2025-03-13T01:00Z",
        {
            "air_temperature_c": 7.6,
            "dew_point_c": 6.0,
            "relative_humidity_pct": 90,
            "sea_level_pressure_hpa": 1010.0,
            "station_pressure_hpa": 980.2,
            "wind_speed_m_s": 1.9,
            "wind_gust_m_s": 4.8,
            "wind_from_deg": 170,
            "precipitation_mm": 0.2,
        },
    ),
    Known(
        "Météo-France, SYNOP",
        "synop.csv",
        "07005",
        "2025-03-13T03:00Z",
        {
            "air_temperature_c": 9.0,
            "dew_point_c": 6.0,
            "relative_humidity_pct": 80,
            "sea_level_pressure_hpa": 1013.0,
            "station_pressure_hpa": 1004.6,
            "wind_speed_m_s": 4.0,
            "wind_gust_m_s": None,
            "wind_from_deg": 190,
            "precipitation_mm": 0.2,
        },
    ),
    Known(
        "MIDAS",
        "midas-open_uk-hourly-weather-obs_117.csv",
        "117",
        "2024-01-01T01:00Z",
        {
            "air_temperature_c": 5.0,
            "dew_point_c": 3.1,
            "relative_humidity_pct": None,
            "sea_level_pressure_hpa": 1001.2,
            "station_pressure_hpa": 990.2,
            "wind_speed_m_s": KT10,
            "wind_from_deg": 190,
        },
    ),
    Known(
        "Environment Canada",
        "en_climate_hourly_BC_1108395_03-2025_P1H.csv",
        "1108395",
        "2025-03-13T08:00Z",
        {
            "air_temperature_c": 7.1,
            "dew_point_c": 5.0,
            "relative_humidity_pct": 86,
            "precipitation_mm": 0.0,
            "wind_from_deg": 90,
            "wind_speed_m_s": 10,
            "station_pressure_hpa": 1015.1,
        },
    ),
    Known(
        "INMET",
        "INMET_CO_DF_A001_BRASILIA_01-01-2025_A_31-12-2025.CSV",
        "A001",
        "2025-03-13T01:00Z",
        {
            "air_temperature_c": 19.8,
            "dew_point_c": 17.0,
            "relative_humidity_pct": 84,
            "station_pressure_hpa": 887.6,
            "wind_from_deg": 160,
            "wind_gust_m_s": 3.9,
            "wind_speed_m_s": 1.2,
            "precipitation_mm": 0.4,
        },
    ),
    Known("SMHI", "smhi-opendata_1_188790.csv", "188790", "2025-03-13T03:00Z", {"air_temperature_c": -9.1}),
    Known(
        "Local Climatological Data",
        "LCD_USW00023174_2025.csv",
        "USW00023174",
        "2025-03-13T09:53Z",
        {
            "air_temperature_c": 10.0,
            "dew_point_c": 10.0,
            "relative_humidity_pct": 90,
            "sea_level_pressure_hpa": INHG30,
            "station_pressure_hpa": 982.0528099999999,
            "wind_speed_m_s": MPH10,
            "wind_gust_m_s": 2 * MPH10,
            "wind_from_deg": None,
            "precipitation_mm": 2.54,
        },
    ),
    Known(
        "Iowa Environmental Mesonet",
        "DSM.csv",
        "DSM",
        "2025-03-13T01:54Z",
        {
            "air_temperature_c": 10.0,
            "dew_point_c": 10.0,
            "relative_humidity_pct": 100,
            "sea_level_pressure_hpa": 1016.2,
            "wind_speed_m_s": KT10,
            "wind_gust_m_s": 2 * KT10,
            "wind_from_deg": None,
            "precipitation_mm": 2.54,
        },
        {"precipitation_mm": "running_hour"},
    ),
    Known(
        "Climate Reference Network",
        "CRNH0203-2025-TX_Monahans_6_ENE.txt",
        "03047",
        "2025-03-13T02:00Z",
        {"air_temperature_c": 16.4, "relative_humidity_pct": 25, "precipitation_mm": 1.2},
    ),
    Known(
        "Meteostat, hourly",
        "10637.csv",
        "10637",
        "2025-03-13T23:00Z",
        {
            "air_temperature_c": 6.0,
            "dew_point_c": 4.4,
            "relative_humidity_pct": 89,
            "sea_level_pressure_hpa": 1003.4,
            "wind_speed_m_s": 5.0,
            "wind_gust_m_s": None,
            "wind_from_deg": None,
            "precipitation_mm": None,
        },
    ),
    Known(
        "Meteostat, with names",
        "berlin.csv",
        "berlin",
        "2025-03-13T00:00Z",
        {
            "air_temperature_c": 6.1,
            "dew_point_c": 4.6,
            "relative_humidity_pct": 90,
            "sea_level_pressure_hpa": 1003.1,
            "wind_speed_m_s": 10.0,
            "wind_gust_m_s": 20.0,
            "wind_from_deg": 230,
            "precipitation_mm": 0.2,
        },
    ),
    Known(
        "EPW",
        "denver.epw",
        "724666",
        "1995-01-02T07:00Z",
        {
            "air_temperature_c": -4.0,
            "dew_point_c": None,
            "relative_humidity_pct": 62,
            "station_pressure_hpa": 812.0,
            "wind_from_deg": 350,
            "wind_speed_m_s": 3.1,
            "precipitation_mm": None,
        },
    ),
    Known(
        "Open-Meteo",
        "open-meteo-52N13E38m.csv",
        "open-meteo-52N13E38m",
        "2025-07-13T00:00Z",
        {
            "air_temperature_c": 17.9,
            "relative_humidity_pct": 71,
            "dew_point_c": 12.6,
            "precipitation_mm": 0.1,
            "sea_level_pressure_hpa": 1012.0,
            "station_pressure_hpa": 1007.5,
            "wind_speed_m_s": 10.0,
            "wind_from_deg": 260,
            "wind_gust_m_s": 20.0,
        },
    ),
    Known(
        "ISD-Lite",
        "010010-99999-2025",
        "010010-99999",
        "2025-03-13T01:00Z",
        {
            "air_temperature_c": 4.8,
            "dew_point_c": None,
            "sea_level_pressure_hpa": 1013.2,
            "wind_from_deg": 0,
            "wind_speed_m_s": 0.0,
            "precipitation_mm": 1.2,
        },
    ),
    Known(
        "Cumulus, monthly log",
        "Jul25log.txt",
        "Jul25log",
        "2025-07-22T01:00Z",
        {
            "air_temperature_c": 10.0,
            "dew_point_c": 7.6,
            "relative_humidity_pct": 85,
            "sea_level_pressure_hpa": 1013.2,
            "wind_speed_m_s": 2.5,
            "wind_gust_m_s": 5.0,
            "wind_from_deg": 210,
            "precipitation_mm": 104.6,
        },
        {"precipitation_mm": "counter"},
    ),
    Known(
        "INMET, BDMEP",
        "dados_A001_H_2025-03-13.csv",
        "A001",
        "2025-03-13T01:00Z",
        {
            "air_temperature_c": 18.9,
            "dew_point_c": 17.3,
            "relative_humidity_pct": 90,
            "station_pressure_hpa": 887.4,
            "wind_speed_m_s": 1.6,
            "wind_gust_m_s": None,
            "wind_from_deg": 100,
            "precipitation_mm": 1.2,
        },
    ),
    Known(
        "INMET, table of the web site",
        "tabela.csv",
        "tabela",
        "2025-03-13T01:00Z",
        {
            "air_temperature_c": 18.9,
            "dew_point_c": 17.3,
            "relative_humidity_pct": 90,
            "station_pressure_hpa": 887.4,
            "wind_speed_m_s": 1.6,
            "wind_gust_m_s": 3.9,
            "wind_from_deg": 100,
            "precipitation_mm": 1.2,
        },
    ),
]


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.layout)
def test_a_known_layout_is_recognised_and_read(known: Known):
    written = propose_source(FILES / known.file, FILES, NOW)
    assert known.layout in written.splitlines()[0]
    source = tomllib.loads(written)["sources"][0]
    batch = read(source, FILES)
    assert (batch.problems.height, batch.bad_values.height) == (0, 0), written
    last = batch.readings.row(-1, named=True)
    assert (last["station_id"], f"{last['observed_at']:%Y-%m-%dT%H:%MZ}") == (known.station, known.observed_at), written
    values = {name: last[name] for name in BUILT_IN if name in source["columns"]}
    assert values == pytest.approx(known.values, abs=1e-4), written
    assert {
        name: one["cell_method"]
        for name, one in source["columns"].items()
        if isinstance(one, dict) and "cell_method" in one
    } == known.methods


def read(source: dict[str, Any], folder: Path) -> SourceBatch:
    """The first batch of a source."""
    settings = Settings.model_validate({"sources": [source]}, context={"folder": folder})
    return next(iter(settings.sources[0].fetch(None, NOW, settings.glossary, ())))


def test_every_layout_has_a_file():
    """`layouts.toml` lists nothing that no test reads."""
    table = tomllib.loads((Path(guess.__file__).parent / "layouts.toml").read_text(encoding="utf-8"))
    names = [layout["name"] for layout in table["layouts"]]
    assert [name for name in names if not any(known.layout in name for known in KNOWN)] == []
