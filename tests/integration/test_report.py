import json
import re
import sys
from dataclasses import replace
from datetime import timedelta
from subprocess import run

import polars as pl
import pytest

from daycast.report.page import render_page, write_page
from daycast.report.summary import render_summary
from daycast.settings import Settings
from daycast.settings.sections import StationsSettings
from daycast.sources.simulated.source import SimulatedSource
from daycast.steps import publish as report
from daycast.steps.ingest import ingest_source
from daycast.steps.publish import summarise, write_report
from daycast.times import HOUR, UTC_TIME, parse_time
from daycast.warehouse.forecasts import replace_forecasts
from daycast.warehouse.models import ModelEntry, register_model

pytestmark = pytest.mark.slow

NOW = parse_time("2026-03-01T10:03")
T0 = parse_time("2026-03-01T10:00")
DAY = timedelta(days=1)


@pytest.fixture
def settings(tmp_path):
    source = {"kind": "simulated", "stations": 2, "history": "10d"}
    moisture = {"soil_moisture_pct": {"unit": "%", "valid_min": 0, "valid_max": 100}}
    return Settings.model_validate({"data": tmp_path, "sources": [source], "variables": moisture})


def _open(settings):
    return settings.warehouse.write(NOW)


def _ingest(settings):
    source = settings.sources[0]
    assert isinstance(source, SimulatedSource)
    return ingest_source(settings, source, NOW)


def _serve(settings, variables=("air_temperature_c", "soil_moisture_pct"), stations=("S0001", "S0002"), issued_at=T0):
    """A champion that halves persistence's error, and its forecasts."""
    cells = [
        (name, who, lead, mae)
        for name in variables
        for who, mae in [("gru", 1.0), ("persistence", 2.0)]
        for lead in (1, 24)
    ]
    judged = pl.DataFrame(cells, schema=["variable", "forecaster", "lead_hours", "mae"], orient="row").with_columns(
        since=pl.lit(T0 - 14 * DAY, UTC_TIME),
        until=pl.lit(T0, UTC_TIME),
        n=100,
        rmse="mae",
        crps="mae",
        bias=0.1,
        coverage_50=0.48,
        coverage_80=0.79,
        coverage_90=0.91,
    )
    entry = ModelEntry(
        "gru-x",
        "gru",
        "x.safetensors",
        "hash",
        T0 - 20 * DAY,
        NOW,
        "gru is better than persistence (CRPS ×0.500)",
        json.dumps({"crps_ratio": {"persistence": 0.5}}),
    )
    keys = pl.DataFrame(
        [(s, v, h) for s in stations for v in variables for h in range(1, 25)],
        schema=["station_id", "variable", "lead_hours"],
        orient="row",
    )
    quantiles = {f"q{q:02}": pl.lit(q / 10) for q in (5, 10, 25, 50, 75, 90, 95)}
    served = keys.with_columns(
        issued_at=pl.lit(issued_at, UTC_TIME),
        valid_at=pl.lit(issued_at, UTC_TIME) + pl.duration(hours="lead_hours"),
        value=5.0,
        model_id=pl.lit("gru-x"),
        forecaster=pl.lit("gru"),
        input_regime=pl.lit("full"),
        created_at=pl.lit(NOW, UTC_TIME),
        backfilled=False,
        **quantiles,
    )
    with _open(settings) as con:
        register_model(con, entry, judged, promote=True)
        replace_forecasts(con, served)


def _read(page, kind):
    """The data of the page's scripts: `stations` or `charts`."""
    return json.loads(re.search(rf'id="{kind}">(.*?)</script>', page, re.DOTALL)[1])


def test_before_anything_happened_both_say_so(settings):
    text = render_summary(summarise(settings, NOW, [], None), 80)
    assert "Champion    none yet" in text
    assert "Forecasts   none yet" in text
    page = write_report(settings, NOW).read_text()
    for told in ("There is no forecast yet", "No model serves yet", "Nothing has been ingested yet"):
        assert told in page


def test_the_summary_tells_the_run_the_champion_and_the_forecasts(settings):
    intake = _ingest(settings)
    _serve(settings)
    text = render_summary(summarise(settings, NOW, [intake], None), 120)
    assert f"{intake.delivered:,} in, {intake.kept:,} kept" in text
    assert "evaluated on the newest 14 days to 2026-03-01, never trained on" in text
    assert re.search(r"air temperature +GRU +1\.00 °C +50 % better +persistence +2\.00 +50 % +79 %", text)
    assert "2 stations × 2 variables × 24 h\n" in text
    assert "select valid_at, air_temperature_c, soil_moisture_pct\n  from next_hours" in text
    assert "not due before 2026-03-08 10:03 UTC" in text  # a week after the newest model


def test_a_station_is_silent_after_24_hours_without_an_observation(settings):
    _ingest(settings)
    with _open(settings) as con:
        con.execute(
            "delete from observation_versions where station_id = 'S0002' and observed_at > $at", {"at": T0 - 30 * HOUR}
        )
    summary = summarise(settings, NOW, [], None)
    assert [(one.station_id, one.last_observed_at) for one in summary.silent] == [("S0002", T0 - 30 * HOUR)]
    assert summarise(settings, NOW - 10 * HOUR, [], None).silent == ()


def test_what_was_observed_after_the_moment_of_the_run_breaks_no_silence(settings):
    _ingest(settings)
    with _open(settings) as con:
        con.execute("delete from observation_versions where station_id = 'S0002'")
        con.execute(
            "insert into observation_versions by name "
            "select * replace ('S0002' as station_id, $late::timestamptz as known_from, null as known_until) "
            "from observation_versions where observed_at = $at limit 1",
            {"late": NOW + HOUR, "at": T0 - 2 * HOUR},
        )
    assert [one.station_id for one in summarise(settings, NOW, [], None).silent] == ["S0002"]


def test_the_page_needs_no_network_and_is_small(settings):
    _ingest(settings)
    _serve(settings)
    path = write_report(settings, NOW)
    page = path.read_text()
    scripts = re.compile(r"(<script[^>]*>).*?</script>", re.DOTALL)
    assert [opened for opened in scripts.findall(page) if "src" in opened] == []
    assert not re.search(r"(src|href)=|url\(|@import", scripts.sub("", page))
    assert path.stat().st_size < 100_000
    assert list(path.parent.glob("*.tmp")) == []


def test_the_page_has_every_variable_that_is_forecast_and_its_errors(settings):
    _ingest(settings)
    _serve(settings)
    page = write_report(settings, NOW).read_text()
    labels = ["air temperature", "soil moisture pct"]
    assert [variable["label"] for variable in _read(page, "stations")["variables"]] == labels
    assert [chart["title"] for chart in _read(page, "charts")["leads"]] == labels
    assert "Are the intervals honest?" in page


def test_the_history_on_the_page_ends_with_the_run_and_spans_two_days_before_the_issue(settings):
    _ingest(settings)
    _serve(settings, variables=("air_temperature_c",), issued_at=T0 - 3 * HOUR)
    stations = _read(write_report(settings, NOW - 2 * HOUR).read_text(), "stations")
    assert stations["end"] == (T0 - 3 * HOUR).timestamp() / 3600
    assert stations["observed"]["shape"] == [1, 2, 48 + 1 + 1]  # the hour of issue itself, and the run's last full hour


def test_the_last_reading_is_as_of_the_run(settings):
    _ingest(settings)
    last = _read(write_report(settings, NOW - 5 * HOUR).read_text(), "stations")["stations"]["last"]
    assert max(last) <= (T0 - 5 * HOUR).timestamp() / 3600


def test_a_station_that_is_called_a_script_runs_nothing(settings):
    _ingest(settings)
    _serve(settings, stations=("</script><script>alert(1)</script>",))
    with _open(settings) as con:
        con.execute("update stations set name = '<script>alert(2)</script>'")
    page = write_report(settings, NOW).read_text()
    assert "<script>alert" not in page
    stations = _read(page, "stations")["stations"]
    assert "</script><script>alert(1)</script>" in stations["id"]
    assert "<script>alert(2)</script>" in stations["name"]


def test_every_station_of_a_large_network_is_on_the_page(settings):
    _serve(settings, stations=[f"T{i}" for i in range(8)])
    with _open(settings) as con:
        con.execute("insert into stations by name select 'N' || range as station_id from range(2000)")
    path = write_report(settings, NOW)
    stations = _read(path.read_text(), "stations")
    assert len(stations["stations"]["id"]) == 2008
    assert stations["summaries"][0]["high"].count(5.0) == 8
    assert path.stat().st_size < 500_000


def test_each_station_is_shown_with_its_own_newest_issue_of_the_last_day(settings):
    stations = ("S0001", "S0002", "S0003")
    for station, hours in zip(stations, (0, 2, 24), strict=True):
        _serve_one(settings, station, T0 - hours * HOUR)
    issued = _read(write_report(settings, NOW).read_text(), "stations")["stations"]
    shown = dict(zip(issued["id"], issued["issued"], strict=True))
    hour = T0.timestamp() / 3600
    assert shown == {"S0001": hour, "S0002": hour - 2}


def _serve_one(settings, station, issued_at):
    quantiles = {f"q{q:02}": pl.lit(q / 10) for q in (5, 10, 25, 50, 75, 90, 95)}
    row = {"station_id": station, "variable": "air_temperature_c", "model_id": "m", "forecaster": "gru"}
    served = pl.DataFrame({"lead_hours": range(1, 25)}).with_columns(
        issued_at=pl.lit(issued_at, UTC_TIME),
        valid_at=pl.lit(issued_at, UTC_TIME) + pl.duration(hours="lead_hours"),
        value=5.0,
        input_regime=pl.lit("full"),
        created_at=pl.lit(NOW, UTC_TIME),
        backfilled=False,
        **quantiles,
        **{name: pl.lit(value) for name, value in row.items()},
    )
    with _open(settings) as con:
        replace_forecasts(con, served)


def test_time_zones_come_from_positions_and_settings(settings):
    _ingest(settings)
    with _open(settings) as con:
        con.execute("update stations set latitude = -36.85, longitude = 174.76")
    chosen = StationsSettings(timezones={"S0002": "+05:30"})
    data = _read(write_report(settings.model_copy(update={"stations": chosen}), NOW).read_text(), "stations")
    assert [data["zones"][number] for number in data["stations"]["zone"]] == ["Pacific/Auckland", "+05:30"]


def test_a_time_zone_of_a_station_that_does_not_exist_is_a_warning(settings, caplog):
    _ingest(settings)
    chosen = StationsSettings(timezones={"S0022": "Europe/Paris"})
    write_report(settings.model_copy(update={"stations": chosen}), NOW)
    assert "stations.timezones names 'S0022', no station (did you mean 'S0002' or 'S0001'?)" in caplog.text


def test_a_page_that_cannot_be_made_leaves_the_former_one(settings, monkeypatch):
    path = write_report(settings, NOW)
    former = path.read_text()
    kept = []
    monkeypatch.setattr(report, "write_page", lambda _, page: kept.append(page))
    write_report(settings, NOW)
    broken = replace(kept[0], coverage=pl.DataFrame({"unknown": [1]}))
    with pytest.raises(pl.exceptions.ColumnNotFoundError):
        write_page(path, broken)
    assert path.read_text() == former
    assert render_page(kept[0]) == former


def test_a_report_loads_no_torch_and_the_module_no_altair_or_jinja():
    heavy = {"torch", "altair", "jinja2", "vl_convert", "rich.table"}
    code = f"import sys, daycast.steps.publish; print({heavy} & set(sys.modules))"
    done = run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"
