import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import jinja2
import polars as pl
import pytest

from daycast.evaluation.serving import Fallback
from daycast.report import page as report_page
from daycast.report.page import Page, make_context, render_page
from daycast.report.skill import Champion, HoldoutResult, Rival, SkillSpan, read_holdout_result
from daycast.variables import BUILT_IN

NOW = datetime(2026, 3, 1, 10, 3, tzinfo=UTC)
T0 = datetime(2026, 3, 1, 10, tzinfo=UTC)
UTC_TIME = pl.Datetime("us", "UTC")
TEMPERATURE, WIND = "air_temperature_c", "wind_speed_m_s"


def _coverage(*stations):
    columns = {
        "station_id": pl.String,
        "name": pl.String,
        "latitude": pl.Float64,
        "longitude": pl.Float64,
        "elevation_m": pl.Float64,
        "first_observed_at": UTC_TIME,
        "last_observed_at": UTC_TIME,
        "hours_observed": pl.Int64,
        "share_observed": pl.Float64,
        "time_zone": pl.String,
    }
    rows = [
        (station, name, 47.4, 8.5, None, T0 - timedelta(days=9), last, 1234, share, "Europe/Zurich")
        for station, name, last, share in stations
    ]
    return pl.DataFrame(rows, schema=columns, orient="row")


def _forecasts(station_id):
    quantiles = {f"q{level:02}": float(level) for level in (5, 10, 25, 50, 75, 90, 95)}
    row = {"station_id": station_id, "variable": TEMPERATURE, "issued_at": T0, "input_regime": "full", **quantiles}
    frame = pl.DataFrame([row | {"valid_at": T0 + timedelta(hours=hours)} for hours in (1, 2)])
    return frame.cast({"issued_at": UTC_TIME, "valid_at": UTC_TIME})


@pytest.fixture
def page():
    """A page of a network from which nothing has come yet."""
    score = {"variable": pl.String, "forecaster": pl.String, "mae": pl.Float64}
    return Page(
        now=NOW,
        champion=None,
        result=None,
        fallbacks=(),
        skill=pl.DataFrame(schema={"basis": pl.String, **score}),
        by_lead=pl.DataFrame(schema={**score, "n": pl.Int64, **{f"coverage_{p}": pl.Float64 for p in (50, 80, 90)}}),
        span=SkillSpan(None, None, 0),
        forecasts=_forecasts("").clear(),
        observations=pl.DataFrame(
            schema={"station_id": pl.String, "observed_at": UTC_TIME, **dict.fromkeys(BUILT_IN, pl.Float64)}
        ),
        coverage=_coverage(),
        silent_before=NOW - timedelta(hours=24),
        batches=pl.DataFrame(),
        rejections=pl.DataFrame(),
        variables=BUILT_IN,
    )


class Tags(HTMLParser):
    """Tags and attributes as a browser sees them."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs


NAMES = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onfocus='alert(1)",
    "<!--<script>",
    "a & b",
    "{{ 1 }}",
]


@pytest.mark.parametrize("name", NAMES)
def test_what_a_station_is_called_stays_text(page, name):
    named = replace(page, coverage=_coverage((name, name, T0, 0.5)), forecasts=_forecasts(name))
    plain = replace(page, coverage=_coverage(("S1", "Altau", T0, 0.5)), forecasts=_forecasts("S1"))
    text = render_page(named)
    parsed = Tags(text)
    assert parsed.tags == Tags(render_page(plain)).tags
    assert not [key for key, _ in parsed.attributes if key.startswith("on")]
    assert _stations(text)["id"] == _stations(text)["name"] == [name]


@pytest.mark.parametrize("name", NAMES)
def test_what_a_time_zone_and_a_unit_are_called_stays_text_too(page, name):
    variables = {TEMPERATURE: replace(BUILT_IN[TEMPERATURE], label=name, unit=name)}
    coverage = _coverage(("S1", "Altau", T0, 0.5))
    named = replace(page, coverage=coverage.with_columns(time_zone=pl.lit(name)), forecasts=_forecasts("S1"))
    plain = replace(page, coverage=coverage, forecasts=_forecasts("S1"))
    assert Tags(render_page(replace(named, variables=variables))).tags == Tags(render_page(plain)).tags


def _stations(text):
    return json.loads(text.split('id="stations">')[1].split("</script>")[0])["stations"]


def test_the_page_asks_for_nothing(page):
    page = replace(page, coverage=_coverage(("S1", "Altau", T0, 0.5)), forecasts=_forecasts("S1"))
    parsed = Tags(render_page(page))
    policy = [value for key, value in parsed.attributes if key == "content"][-1]
    assert policy.startswith("default-src 'none'")
    assert not [key for key, _ in parsed.attributes if key in {"src", "srcset", "action"}]


def test_a_page_without_stations_carries_no_script(page):
    assert "script" not in Tags(render_page(page)).tags


def test_a_station_that_was_never_heard_of_is_silent(page):
    late = NOW - timedelta(hours=25)
    stations = _coverage(("S1", "", T0, 1.0), ("S2", "", late, 1.0), ("S3", "", None, None))
    assert make_context(replace(page, coverage=stations))["summary"]["silent"] == "2"


def test_stations_are_counted_by_the_input_regime_of_the_newest_issue(page):
    older = _forecasts("S4").with_columns(pl.col("issued_at", "valid_at") - timedelta(hours=1))
    gappy = _forecasts("S3").with_columns(input_regime=pl.lit("gappy"))
    issue = make_context(replace(page, forecasts=pl.concat([_forecasts("S1"), _forecasts("S2"), gappy, older])))[
        "issue"
    ]
    assert issue["regimes"] == "full input (2), holes in the last week (1)"
    assert issue["issued_at"] == {"text": "2026-03-01 10:00", "hours": T0.timestamp() / 3600}


def test_coverage_says_by_how_much_an_interval_is_off(page):
    by_lead = pl.DataFrame(
        {
            "variable": TEMPERATURE,
            "forecaster": ["gru", "gru", "ridge"],
            "lead_hours": [1, 24, 1],
            "n": [300, 100, 100],
            "mae": [1.0, 2.0, 3.0],
            "coverage_50": [0.36, 0.40, 0.9],
            "coverage_80": [0.80, 0.80, 0.9],
            "coverage_90": [0.92, 0.96, 0.9],
        }
    )
    champion = Champion("gru-1", "gru", T0, T0, "better", "holdout")
    result = HoldoutResult("gru", (), {})
    (row,) = make_context(replace(page, by_lead=by_lead, champion=champion, result=result))["coverage"]
    assert row["variable"] == "air temperature"
    assert row["cells"] == [
        {"text": "37 %", "off": "(−13)", "css": "bad"},
        {"text": "80 %", "off": "", "css": None},
        {"text": "93 %", "off": "(+3)", "css": None},
    ]


def test_the_section_of_the_champion_says_who_serves_and_why(page):
    decision = {
        "judged": "gru",
        "rivals": {
            "persistence": {"crps_ratio": 0.6, "expected_gain": 0.4, "chance": 0.999, "days": 58},
            "ridge": {"crps_ratio": 1.1, "expected_gain": -0.08, "chance": 0.03, "days": 58},
        },
    }
    champion = Champion("gru-1", "gru", T0, T0, "gru is <better>", "rollback")
    fallback = Fallback("precipitation_mm", None, "climatology", 0.91, 0.97, 58)
    result = read_holdout_result(decision, "gru")
    html = render_page(replace(page, champion=champion, result=result, fallbacks=[fallback]))
    assert '<span class="bad">×1.100 (3 %)</span>' in html
    assert '<span class="good">×0.600 (&gt; 99 %)</span>' in html
    assert "gru is &lt;better&gt;" in html
    assert ", by a rollback" in html
    assert "precipitation is served by climatology (CRPS ×0.910, chance 97 %, 58 days)" in html
    assert "No model serves yet" in render_page(page)


def test_a_rival_that_was_not_compared_on_a_variable_leaves_its_cell_empty(page):
    rivals = (Rival("ridge", 0.9, 0.98, 50), Rival("persistence", 1.2, 0.01, 50))
    result = HoldoutResult("gru", rivals, {WIND: rivals[:1], "unknown": rivals[1:]})
    champion = Champion("gru-x", "gru", T0, None, "by hand, said an operator", promoted_by="hand")
    told = make_context(replace(page, champion=champion, result=result))["champion"]
    better, worse = {"text": "×0.900 (98 %)", "css": "good"}, {"text": "×1.200 (1 %)", "css": "bad"}
    assert told["comparisons"] == [
        {"title": "all variables", "cells": [better, worse]},
        {"title": "wind speed", "cells": [better, None]},
        {"title": "unknown", "cells": [None, worse]},
    ]
    assert (told["serving_since"], told["by_hand"]) == (None, True)


def test_a_value_that_the_template_lacks_is_an_error(page, monkeypatch):
    context = make_context(page)
    del context["summary"]["silent"]
    monkeypatch.setattr(report_page, "make_context", lambda _: context)
    with pytest.raises(jinja2.UndefinedError, match="silent"):
        render_page(page)
