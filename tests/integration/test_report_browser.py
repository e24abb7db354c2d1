"""The scripts of the report page, run by a real browser."""

import re
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import polars as pl
import pytest

from daycast.report.page import Page, render_page
from daycast.report.skill import SkillSpan
from daycast.variables import BUILT_IN

BROWSER = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not BROWSER, reason="there is no chromium: install one to run the scripts of the page"),
]
T0 = datetime(2026, 3, 28, 20, tzinfo=UTC)  # five hours before Europe's clocks go forward
UTC_TIME = pl.Datetime("us", "UTC")
TEMPERATURE, RAIN = "air_temperature_c", "precipitation_mm"
LEVELS = (5, 10, 25, 50, 75, 90, 95)


def _page(stations):
    """stations: (id, name, time zone, median of the first hour, which then rises by one an hour)."""
    leads = pl.DataFrame({"lead": range(1, 25)})
    forecasts = [
        leads.select(
            station_id=pl.lit(station),
            variable=pl.lit(variable),
            issued_at=pl.lit(T0, UTC_TIME),
            valid_at=pl.lit(T0, UTC_TIME) + pl.duration(hours="lead"),
            input_regime=pl.lit("full"),
            **{f"q{level:02}": factor * (first + pl.col("lead") - 1 + (level - 50) / 10) for level in LEVELS},
        )
        for station, _, _, first in stations
        for variable, factor in ((TEMPERATURE, 1.0), (RAIN, 0.1))
    ]
    coverage = pl.DataFrame(
        {
            "station_id": [station for station, *_ in stations],
            "name": [name for _, name, *_ in stations],
            "latitude": [47.0 + i for i in range(len(stations))],
            "longitude": [8.0] * len(stations),
            "elevation_m": [400.0] * len(stations),
            "first_observed_at": [T0 - timedelta(days=9)] * len(stations),
            "last_observed_at": [T0 - timedelta(hours=i) for i in range(len(stations))],
            "hours_observed": [200] * len(stations),
            "share_observed": [0.9] * len(stations),
            "time_zone": [zone for _, _, zone, _ in stations],
        },
        schema_overrides={"first_observed_at": UTC_TIME, "last_observed_at": UTC_TIME, "name": pl.String},
    )
    score = {"variable": pl.String, "forecaster": pl.String, "mae": pl.Float64}
    return Page(
        now=T0 + timedelta(minutes=5),
        champion=None,
        result=None,
        fallbacks=(),
        skill=pl.DataFrame(schema={"basis": pl.String, **score}),
        by_lead=pl.DataFrame(schema=score),
        span=SkillSpan(None, None, 0),
        forecasts=pl.concat(forecasts),
        observations=coverage.select("station_id", observed_at=pl.lit(T0, UTC_TIME), **{TEMPERATURE: 7.5, RAIN: 0.3}),
        coverage=coverage,
        silent_before=T0 - timedelta(days=1),
        batches=pl.DataFrame(),
        rejections=pl.DataFrame(),
        variables=BUILT_IN,
    )


@pytest.fixture
def look(tmp_path):
    """The page as the browser has it after its scripts ran, with the table of all hours open; of the chosen station."""

    def at(page, station=""):
        file = tmp_path / "report.html"
        file.write_text(render_page(page).replace("<details ", "<details open "), encoding="utf-8")
        command = [
            BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1200,900", "--virtual-time-budget=20000",
            f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", f"{file.as_uri()}#station={quote(station)}",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
        return done.stdout

    return at


def _rows(dom, table):
    """The texts of the cells, row by row."""
    body = re.search(rf'<table id="{table}">(.*?)</table>', dom, re.DOTALL)[1]
    rows = [
        re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in re.findall(r"<tr.*?</tr>", body, re.DOTALL)
    ]
    return [[re.sub(r"<[^>]+>", "", cell).replace("&nbsp;", " ") for cell in row] for row in rows]


def _text(dom, element):
    return re.search(rf'id="{element}"[^>]*>(.*?)</', dom, re.DOTALL)[1]


def test_the_overview_has_every_station_with_its_numbers(look):
    dom = look(_page([("b", "Berg", "Europe/Zurich", -3.0), ("a", None, None, 10.0)]))
    head, *rows = _rows(dom, "overview")
    assert head == [
        "station",
        "air temperature, 72 h",
        "lowest, °C",
        "highest, °C",
        "precipitation, mm",
        "last reading",
    ]
    assert [row[0] for row in rows] == ["a", "Bergb"]  # by name
    first, second = rows
    assert second == ["Bergb", "", "−3.0", "20.0", "20.4", "5 min ago"]  # a tenth of the sum of -3 … 20
    assert first == ["a", "", "10.0", "33.0", "51.6", "1 h ago"]
    assert dom.count('class="station"') == 2  # on the map
    assert '<svg class="spark"' in dom


@pytest.mark.parametrize(
    ("zone", "told", "times"),
    [
        (
            "Europe/Zurich",
            "Europe/Zurich (UTC+1)",
            {1: "Sat 28 Mar 22:00", 4: "Sun 29 Mar 01:00", 5: "Sun 29 Mar 03:00"},
        ),
        ("Asia/Kolkata", "Asia/Kolkata (UTC+5:30)", {1: "Sun 29 Mar 02:30", 24: "Mon 30 Mar 01:30"}),
        ("-03:30", "UTC−3:30", {1: "Sat 28 Mar 17:30", 24: "Sun 29 Mar 16:30"}),
    ],
)
def test_local_time_stands_beside_utc(look, zone, told, times):
    dom = look(_page([("a", "Au", zone, 1.0)]), "a")
    assert f"local time {told}" in dom
    head, *hours = _rows(dom, "value-table")
    assert head[:2] == ["local", "UTC"]
    assert hours[4][1] == "Sun 29 Mar 01:00"
    assert {lead: hours[lead - 1][0] for lead in times} == times
    assert hours[4][2] == "5.0 0.5 to 9.5"  # median, and 90 % interval, of lead 5


@pytest.mark.parametrize(
    ("zone", "told"), [(None, "local time unknown"), ("Mars/Olympus", "does not know the zone Mars/Olympus")]
)
def test_without_a_known_zone_there_is_utc_alone_and_the_page_says_so(look, zone, told):
    dom = look(_page([("a", "Au", zone, 1.0)]), "a")
    assert told in dom
    assert _rows(dom, "value-table")[0][0] == "UTC"


def test_the_address_chooses_the_station_whatever_it_is_called(look):
    name = "</script><img src=x onerror=\"document.title='run'\"> & 100 %"
    dom = look(_page([("a", "Au", None, 1.0), (name, name, "UTC", 2.0)]), name)
    assert "<title>daycast report</title>" in dom
    assert _text(dom, "station-name") == "&lt;/script&gt;&lt;img src=x onerror=\"document.title='run'\"&gt; &amp; 100 %"
    assert "<img" not in re.sub(r"<script.*?</script>", "", dom, flags=re.DOTALL)


def test_a_network_without_positions_and_forecasts_is_shown_without_a_map(look):
    page = _page([("a", "Au", None, 1.0)])
    unplaced = page.coverage.with_columns(latitude=pl.lit(None, pl.Float64), longitude=pl.lit(None, pl.Float64))
    dom = look(replace(page, coverage=unplaced, forecasts=page.forecasts.clear()), "a")
    assert "There is no forecast yet" in dom
    assert 'id="map"' not in dom
    assert "position unknown" in dom
    assert _rows(dom, "overview")[1] == ["Aua", "", "–", "–", "–", "5 min ago"]
    assert dom.count('<div class="chart"') == 2  # what was observed


def test_stations_of_which_nothing_is_known_yet_are_listed(look):
    page = _page([("a", "Au", None, 1.0)])
    nothing = page.coverage.with_columns(
        last_observed_at=pl.lit(None, UTC_TIME),
        first_observed_at=pl.lit(None, UTC_TIME),
        share_observed=pl.lit(None, pl.Float64),
    )
    dom = look(
        replace(page, coverage=nothing, forecasts=page.forecasts.clear(), observations=page.observations.clear())
    )
    assert _rows(dom, "overview") == [["station", "last reading"], ["Aua", "never"]]
    assert "no reading yet" in dom
