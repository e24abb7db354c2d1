import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import jinja2
import polars as pl
import pytest

from daycast.evaluation.serving import Fallback
from daycast.report import page as report_page
from daycast.report.page import LISTED_STATIONS, Page, make_context, render_page
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
        "first_observed_at": UTC_TIME,
        "last_observed_at": UTC_TIME,
        "hours_observed": pl.Int64,
        "share_observed": pl.Float64,
    }
    rows = [(station, name, T0 - timedelta(days=9), last, 1234, share) for station, name, last, share in stations]
    return pl.DataFrame(rows, schema=columns, orient="row")


def _forecasts(station_id, name):
    quantiles = {"q05": 1.0, "q25": 2.0, "q50": 3.0, "q75": 4.0, "q95": 5.0}
    row = {"station_id": station_id, "name": name, "variable": TEMPERATURE, "issued_at": T0, **quantiles}
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
        forecasts=_forecasts("", "").clear(),
        observations=pl.DataFrame(
            schema={"station_id": pl.String, "observed_at": UTC_TIME, **dict.fromkeys(BUILT_IN, pl.Float64)}
        ),
        regimes={},
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


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "' onfocus='alert(1)", "a & b", "{{ 1 }}"]
)
def test_what_a_station_is_called_stays_text(page, name):
    page = replace(page, coverage=_coverage((name, name, T0, 0.5)))
    plain = replace(page, coverage=_coverage(("S1", "Altau", T0, 0.5)))
    rendered = Tags(render_page(page))
    assert rendered.tags == Tags(render_page(plain)).tags
    assert not [key for key, _ in rendered.attributes if key.startswith("on")]


@pytest.mark.parametrize("name", ["</script><script>alert(1)</script>", '" onfocus="alert(1)', "<!--<script>"])
def test_a_name_leaves_neither_its_attribute_nor_the_data_of_the_charts(page, name):
    text = render_page(replace(page, forecasts=_forecasts(name, name)))
    parsed = Tags(text)
    assert ("value", name) in parsed.attributes  # of the option that chooses the station
    assert not [key for key, _ in parsed.attributes if key.startswith("on")]
    assert parsed.tags.count("script") == 3  # the data, the library and page.js
    data = text.split('id="charts">')[1].split("</script>")[0]
    assert name in {row["station_id"] for row in _rows_of(json.loads(data)["fan-0"])}


def _rows_of(spec):
    return [row for rows in spec["datasets"].values() for row in rows]


def test_a_page_without_charts_carries_no_script(page):
    assert "script" not in Tags(render_page(page)).tags


def test_nothing_is_a_dash(page):
    text = render_page(replace(page, coverage=_coverage(("S1", None, None, None))))
    assert '<td class="text">–</td>' in text
    assert 'class="bar"' not in text


def test_a_share_above_one_does_not_overflow_its_bar(page):
    page = replace(page, coverage=_coverage(("S1", "Altau", T0, 1.2)))
    (station,) = make_context(page)["stations"]["rows"]
    assert (station["bar_width"], station["share_observed"]) == ("100.0%", "120.0 %")


def test_a_station_that_was_never_heard_of_is_silent(page):
    late = NOW - timedelta(hours=25)
    context = make_context(
        replace(page, coverage=_coverage(("S1", "", T0, 1.0), ("S2", "", late, 1.0), ("S3", "", None, None)))
    )
    assert [station["silent"] for station in context["stations"]["rows"]] == [False, True, True]
    assert context["summary"]["silent"] == "2"


def test_of_many_stations_the_worst_are_listed(page):
    times = [T0 - timedelta(hours=hours) for hours in range(LISTED_STATIONS + 3)]
    stations = make_context(
        replace(page, coverage=_coverage(*((f"S{i:02}", "", time, 1.0) for i, time in enumerate(times))))
    )["stations"]
    assert stations["left_out"] == 3
    assert [station["station_id"] for station in stations["rows"]][:2] == ["S14", "S13"]


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
