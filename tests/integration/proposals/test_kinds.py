"""Files of the kinds that people have, each written from the same hours: the proposed table reads these back.

Where the file leaves something open, the table is right after the edits named here, and each of these is marked as a guess.
"""

import math
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from daycast.settings import Settings
from daycast.steps.propose import propose_source
from daycast.variables import BUILT_IN

NOW = datetime(2026, 6, 1, tzinfo=UTC)
BERLIN, UTC_HOURS = {"timezone": "+02:00"}, timedelta()


@dataclass(frozen=True)
class Hour:
    """What is written of one hour, its time as the clock of the file has it."""

    at: datetime
    t: float
    td: float
    rh: int
    p: float
    slp: float
    wind: float
    gust: float
    from_: int
    rain: float

    def __format__(self, form: str) -> str:
        return self.at.strftime(form)


def _hours() -> list[Hour]:
    found = []
    for at in range(60):
        t = round(17 + 6 * math.sin((at - 9) / 3.8), 1)
        wind = round(4 + 3 * math.sin(at / 7), 1)
        rain = (0.0, 0.0, 0.6, 1.4, 0.0, 0.2)[at * at % 6]
        p = round(1004 + 5 * math.sin(at / 20), 1)
        turn = 10 + 10 * (at * 7 % 35)
        begun = datetime(2025, 7, 22, tzinfo=UTC) + timedelta(hours=at)
        found.append(
            Hour(
                begun, t, round(t - 4.3, 1), 60 + at % 37, p, round(p + 11.2, 1), wind, round(1.6 * wind, 1), turn, rain
            )
        )
    return found


HOURS = _hours()
TOLERANCES = {"relative_humidity_pct": 0.6, "wind_speed_m_s": 0.06, "wind_gust_m_s": 0.06, "precipitation_mm": 0.14}
ALL = {
    "air_temperature_c": "t",
    "dew_point_c": "td",
    "relative_humidity_pct": "rh",
    "station_pressure_hpa": "p",
    "wind_speed_m_s": "wind",
    "wind_gust_m_s": "gust",
    "wind_from_deg": "from_",
    "precipitation_mm": "rain",
}


def only(*names: str, **others: str) -> dict[str, str]:
    """Of which variables a file has values, and which these are where they are not the usual ones."""
    return {name: ALL[name] for name in names} | others


T, TD, RH, P, WIND, GUST, FROM, RAIN = ALL
SLP = {"sea_level_pressure_hpa": "slp"}


@dataclass(frozen=True)
class Kind:
    """A kind of file: how it is written, and what is read of it after the edits."""

    name: str
    file: str
    head: str
    row: Callable[[Hour], str]
    variables: dict[str, str]
    edits: dict[str, Any] = field(default_factory=dict)
    station: str | None = None  # None: called like the file
    encoding: str = "utf-8"
    ahead: timedelta = UTC_HOURS  # of UTC, the clock of the file


def comma(number: float) -> str:
    return f"{number:.1f}".replace(".", ",")


def fahrenheit(celsius: float) -> str:
    return f"{celsius * 1.8 + 32:.1f}"


def blank_if(empty: bool, text: str) -> str:
    return " " * len(text) if empty else text


KINDS = [
    Kind(
        "tenths and hundredths in names",
        "a.csv",
        "time,rain (1/100 in),temp 0.1 °C,dew point [°C/10],p_tenths_hpa,wind (cm/s)\n",
        lambda h: f"{h:%Y-%m-%d %H:%M},{h.rain / 0.254:.0f},{h.t * 10:.0f},{h.td * 10:.0f},{h.p * 10:.0f},{h.wind * 100:.0f}\n",
        only(T, TD, P, WIND, RAIN),
    ),
    Kind(
        "tenths in a row of units, times ten in names",
        "a.csv",
        "time;rain;temp_x10;rh\n;0,1 mm;;%\n",
        lambda h: f"{h:%d.%m.%Y %H:%M};{h.rain * 10:.0f};{h.t * 10:.0f};{h.rh}\n",
        only(T, RH, RAIN),
    ),
    Kind(
        "German, decimal commas, in and out",
        "garten.csv",
        "Datum;Uhrzeit;Temperatur Außen [°C];Temperatur Innen [°C];Feuchte Außen [%];Luftdruck [hPa];Windgeschw. [km/h];"
        "Windböen [km/h];Windrichtung [°];Regen [mm]\n",
        lambda h: (
            f"{h:%d.%m.%Y;%H:%M};{comma(h.t)};21,5;{h.rh};{comma(h.p)};{comma(h.wind * 3.6)};{comma(h.gust * 3.6)};{h.from_};"
            f"{comma(h.rain)}\n"
        ),
        only(T, RH, P, WIND, GUST, FROM, RAIN),
        BERLIN,
        encoding="cp1252",
        ahead=timedelta(hours=2),
    ),
    Kind(
        "Portuguese",
        "dados.csv",
        "Data/Hora;Temperatura (°C);Temperatura máxima (°C);Umidade (%);Pressão (hPa);Vel. do vento (m/s);Rajada (m/s);"
        "Direção do vento (°);Precipitação (mm)\n",
        lambda h: (
            f"{h:%d/%m/%Y %H:%M};{comma(h.t)};{comma(h.t + 1)};{h.rh};{comma(h.p)};{comma(h.wind)};{comma(h.gust)};{h.from_};"
            f"{comma(h.rain)}\n"
        ),
        only(T, RH, P, WIND, GUST, FROM, RAIN),
    ),
    Kind(
        "French, in tenths",
        "releve.csv",
        "Poste;Année;Mois;Jour;Heure;Température (1/10 °C);Température max (1/10 °C);Humidité (%);Pluie (1/10 mm);"
        "Vent moyen (m/s);Rafales (m/s)\n",
        lambda h: (
            f"Brest;{h:%Y;%m;%d;%H};{h.t * 10:.0f};{h.t * 10 + 9:.0f};{h.rh};{h.rain * 10:.0f};{comma(h.wind)};{comma(h.gust)}\n"
        ),
        only(T, RH, WIND, GUST, RAIN),
        station="Brest",
    ),
    Kind(
        "Spanish",
        "datos.csv",
        "Fecha;Hora;Temperatura (ºC);Temp. máx (ºC);Humedad (%);Velocidad viento (km/h);Racha (km/h);Lluvia (mm)\n",
        lambda h: (
            f"{h:%d/%m/%Y;%H:%M};{comma(h.t)};{comma(h.t + 1)};{h.rh};{comma(h.wind * 3.6)};"
            f"{comma(h.gust * 3.6)};{comma(h.rain)}\n"
        ),
        only(T, RH, WIND, GUST, RAIN),
    ),
    Kind(
        "Polish, the hour in a column",
        "dane.csv",
        "Data;Godzina;Stacja;Temperatura [°C];Wilgotność [%];Ciśnienie [hPa];Wiatr [m/s];Opad [mm]\n",
        lambda h: f"{h:%Y-%m-%d};{h.at.hour};Kraków;{h.t};{h.rh};{h.p};{h.wind};{h.rain}\n",
        only(T, RH, P, WIND, RAIN),
        station="Kraków",
    ),
    Kind(
        "units in words behind in",
        "hourly.csv",
        "hm,Station Number,Year,Month,Day,Hour,Minutes,Precipitation in mm,Air Temperature in degrees C,Relative humidity in "
        "percentage %,Wind speed in km/h,Wind direction in degrees true,Station level pressure in hPa,#\n",
        lambda h: f"hm,066062,{h:%Y,%m,%d,%H,%M},{h.rain},{h.t},{h.rh},{h.wind * 3.6:.1f},{h.from_},{h.p},#\n",
        only(T, RH, P, WIND, FROM, RAIN),
        station="066062",
    ),
    Kind(
        "names above names, the groups in the upper line",
        "console.csv",
        '"Time","Outdoor","","","Wind","","","Pressure",""\n'
        '"","Temperature(℉)","Humidity(%)","Dew Point(℉)","Wind Speed(mph)","Wind Gust(mph)","Wind Direction(º)",'
        '"Relative(inHg)","Absolute(inHg)"\n',
        lambda h: (
            f'"{h:%Y-%m-%d %H:%M}","{fahrenheit(h.t)}","{h.rh}","{fahrenheit(h.td)}","{h.wind / 0.44704:.1f}",'
            f'"{h.gust / 0.44704:.1f}","{h.from_}","{h.slp / 33.86389:.3f}","{h.p / 33.86389:.3f}"\n'
        ),
        only(T, TD, RH, P, WIND, GUST, FROM, **SLP),
    ),
    Kind(
        "units behind the values",
        "dashboard.csv",
        "Time,Temperature,Dew Point,Humidity,Speed,Gust\n",
        lambda h: (
            f"{h:%m/%d/%Y %I:%M %p},{fahrenheit(h.t)} °F,{fahrenheit(h.td)} °F,{h.rh} %,{h.wind / 0.44704:.2f} mph,"
            f"{h.gust / 0.44704:.2f} mph\n"
        ),
        only(T, TD, RH, WIND, GUST),
    ),
    Kind(
        "a buoy: blanks, units in a comment, MM for missing",
        "42001.txt",
        "#YY  MM DD hh mm WDIR WSPD GST  WVHT   PRES  ATMP  WTMP  DEWP\n"
        "#yr  mo dy hr mn degT m/s  m/s     m   hPa  degC  degC  degC\n",
        lambda h: (
            f"{h:%Y %m %d %H %M} {h.from_:3d} {h.wind:4.1f} {h.gust:4.1f}    MM {h.p:6.1f} {h.t:5.1f}  25.0 {h.td:5.1f}\n"
        ),
        only(T, TD, P, WIND, GUST, FROM),
    ),
    Kind(
        "hours 0100 to 2400 in standard time, a flag behind each value",
        "irrigation.csv",
        "Stn Id,Stn Name,Date,Hour (PST),Precip (mm),qc,Air Temp (C),qc,Rel Hum (%),qc,Wind Speed (m/s),qc,Wind Dir (0-360),qc\n",
        lambda h: (
            f"2,Five Points,{h.at - timedelta(hours=1):%m/%d/%Y},{(h.at - timedelta(hours=1)).hour + 1:02}00,{h.rain}, ,{h.t}, ,"
            f"{h.rh},Y,{h.wind}, ,{h.from_}, \n"
        ),
        only(T, RH, WIND, FROM, RAIN),
        station="2",
        ahead=timedelta(hours=-8),
    ),
    Kind(
        "local time and UTC",
        "two_clocks.csv",
        "Date (local),Date (UTC),Temp (°C),RH (%)\n",
        lambda h: f"{h.at + timedelta(hours=3):%Y-%m-%d %H:%M},{h:%Y-%m-%d %H:%M},{h.t},{h.rh}\n",
        only(T, RH),
    ),
    Kind(
        "columns of one name",
        "download.csv",
        "Time (UTC),Temp (°C),Temp (°C),Rain (mm),Rain (mm)\n",
        lambda h: f"{h:%Y-%m-%d %H:%M},{h.t},8,{h.rain},8\n",
        only(T, RAIN),
    ),
    Kind(
        "two tables, the upper as wide as the lower",
        "service.csv",
        "latitude,longitude,elevation,offset\n52.5,13.4,38,0\n\n"
        "time (UTC),temperature_2m (°C),relative_humidity_2m (%),rain (mm)\n",
        lambda h: f"{h:%Y-%m-%dT%H:%M},{h.t},{h.rh},{h.rain}\n",
        only(T, RH, RAIN),
    ),
    Kind(
        "one value a row, short names",
        "node.csv",
        "dev,ts,what,val,u\n",
        lambda h: "".join(
            f"N7,{h:%Y-%m-%d %H:%M},{name},{value},{unit}\n"
            for name, value, unit in (("ta", h.t, "°C"), ("ws", round(h.wind * 3.6, 1), "km/h"), ("rh", h.rh, "%"))
        ),
        only(T, RH, WIND),
        station="N7",
    ),
    Kind(
        "one value a row, columns without a known name",
        "export.csv",
        "who;t0;b;c;d\n",
        lambda h: "".join(
            f"Nord;{h:%d.%m.%Y %H:%M};{name};{comma(value)};{unit}\n"
            for name, value, unit in (("Lufttemperatur", h.t, "°C"), ("Niederschlag", h.rain, "mm"), ("Akku", 12.4, "V"))
        ),
        only(T, RAIN),
        {"station": {"constant": "Nord"}},
        station="Nord",
    ),
    Kind(
        "fixed width, empty cells, a header",
        "logger.txt",
        "            time   temp   rh  wind   press\n",
        lambda h: (
            f"{h:%Y-%m-%d %H:%M}{blank_if(h.at.hour == 5, f'{h.t:7.1f}')}{h.rh:5d}"
            f"{blank_if(h.at.hour % 7 == 3, f'{h.wind:6.1f}')}{h.p:8.1f}\n"
        ),
        only(T, RH, WIND, P),
    ),
    Kind(
        "fixed width, no header, decimal commas",
        "logger.dat",
        "",
        lambda h: f"{h:%d.%m.%y %H:%M}{blank_if(h.at.hour % 6 == 1, f'{comma(h.t):>8}')}{h.rh:>6}{comma(h.p):>9}\n",
        only(T, RH, P),
    ),
    Kind(
        "fixed width, a line of dashes, a name of two words",
        "report.txt",
        "Station    Date        Time   Temp C   RH %\n---------  ----------  -----  ------   ----\n",
        lambda h: f"Oak Hill   {h:%Y-%m-%d  %H:%M}  {h.t:6.1f}   {blank_if(h.at.hour == 4, f'{h.rh:4d}')}\n",
        only(T, RH),
        station="Oak Hill",
    ),
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_what_was_written_is_read_back(kind: Kind, tmp_path: Path):
    text = kind.head + "".join(map(kind.row, HOURS))
    (tmp_path / kind.file).write_text(text, encoding=kind.encoding)
    written = propose_source(tmp_path / kind.file, tmp_path, NOW)
    marked = {line.split(" = ")[0] for line in written.splitlines() if "# a guess: " in line}
    source = tomllib.loads(written)["sources"][0]
    assert kind.edits.keys() <= marked
    settings = Settings.model_validate({"sources": [source | kind.edits]}, context={"folder": tmp_path})
    batch = next(iter(settings.sources[0].fetch(None, NOW, settings.glossary, ())))
    assert set(source["columns"]) - marked <= kind.variables.keys()
    names = list(kind.variables)
    readings = batch.readings.group_by("station_id", "observed_at").agg(pl.col(names).drop_nulls().first())
    assert readings["station_id"].unique().to_list() == [kind.station or Path(kind.file).stem]
    instants = pl.Series([hour.at - kind.ahead for hour in HOURS], dtype=pl.Datetime("us", "UTC"))
    told = pl.DataFrame(HOURS).with_columns(observed_at=instants)
    both = told.join(readings, on="observed_at", how="inner")
    assert both.height == len(HOURS)
    for name, truth in kind.variables.items():
        wrong = (both[name] - both[truth]).abs() > TOLERANCES.get(name, 0.06)
        assert not wrong.any(), both.filter(wrong).select("observed_at", name, truth).head(3)
        assert both[name].count() > 0.7 * len(HOURS)


def test_every_variable_is_one_of_daycast():
    assert ALL.keys() | SLP.keys() <= BUILT_IN.keys()
