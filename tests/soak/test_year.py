"""Two days of a year of faults, and that its accounts tell what is wrong. The whole year is `make chaos`."""

import json
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from daycast.times import HOUR
from soak.logbook import INBOX
from soak.sensor_year import BEGIN, SERVED, SILENT_DAYS, SensorYear
from soak.year import Year, live_through
from soak.year_accounts import find_faults_of_year
from soak.year_plan import ONCE, Kill, Size, plan_events, plan_kills
from unit.sources.http_server import Request, serve

OBSERVATIONS = "/v1.1/Datastreams({})/Observations"


def ask(year: SensorYear, stream: int, hours: int) -> list[dict]:
    """What the service says of the last hours; None if it says nothing that can be read."""
    after = (year.now - hours * HOUR).isoformat()
    query = {"$filter": f"phenomenonTime gt {after} and phenomenonTime le {year.now.isoformat()}"}
    answer = year.answer(Request(OBSERVATIONS.format(stream), query, {}, 0, "GET"))
    if answer.status != 200 or answer.truncate_to is not None:
        return None
    return json.loads(answer.body)["value"]


@pytest.fixture
def network(tmp_path: Path) -> SensorYear:
    (tmp_path / "inbox").mkdir()
    return SensorYear(tmp_path, seed=4, now=BEGIN + 50 * HOUR, faulty=0.0)


def test_the_service_says_what_was_measured_and_received_by_now(network: SensorYear) -> None:
    said = {(one["phenomenonTime"], one["result"], one["resultTime"]) for one in ask(network, 10, 30)}
    owed = {
        (row.observed_at.isoformat(), float(row.temp), row.received_at.isoformat())
        for _, row, _ in network.owed
        if row.station == SERVED[1] and row.observed_at > network.now - 30 * HOUR
    }
    assert said == owed
    assert len({time for time, *_ in said}) in range(24, 31)


def test_any_hour_can_be_made_again(network: SensorYear) -> None:
    again = SensorYear(network.folder, network.seed, network.now)
    assert list(again.owed) == list(network.owed)
    assert list(SensorYear(network.folder, network.seed + 1, network.now).owed) != list(network.owed)


def test_a_tenth_of_all_requests_is_answered_badly(network: SensorYear) -> None:
    network.faulty = 0.1
    for hour in range(600):
        network.advance(BEGIN + (50 + hour) * HOUR)
        for stream in (0, 1, 10, 11):
            ask(network, stream, 6)
    total = sum(count for what, count in network.counts.items() if what.startswith("requests"))
    bad = {what: count / total for what, count in network.counts.items() if what.startswith("requests ")}
    assert total == 2400
    assert 0.88 < bad.pop("requests answered") < 0.92
    assert set(bad) == {f"requests {fault}" for fault in ("failed", "slow", "truncated", "duplicated")}


def test_every_row_of_the_inbox_is_delivered_in_the_end_however_badly(network: SensorYear) -> None:
    network.faulty, behind = 0.8, []
    for hour in range(200):
        network.advance(BEGIN + hour * HOUR)
        for path in (network.folder / "inbox").iterdir():
            path.replace(network.folder / path.name)
        behind.append(network.is_behind())
    assert {True, False} == set(behind)
    lines = {line for path in network.folder.glob("*.csv") for line in path.read_bytes().splitlines()[1:]}
    owed = [row for _, row, _ in network.owed if row.station == INBOX and BEGIN <= row.observed_at < BEGIN + 195 * HOUR]
    assert len(owed) > 190
    assert {row.line.rstrip(b"\n") for row in owed} <= lines


def test_in_a_long_silence_nothing_is_known_after_a_week(network: SensorYear) -> None:
    begin = BEGIN + timedelta(days=SILENT_DAYS[0])
    known = []
    for days in (1, 6.9, 8, 9.2):
        network.now = begin + timedelta(days=days)
        known.append(network.is_anything_known())
    assert known == [True, True, False, True]


@pytest.mark.parametrize("size", [Size(365, 1000, 1), Size(3, 8, 2)])
def test_a_plan_has_so_many_kills_and_each_event_at_an_hour_of_its_own(size: Size) -> None:
    kills, events = plan_kills(size), plan_events(size)
    assert sum(map(len, kills.values())) == size.kills
    assert set(kills) <= set(range(size.hours))
    assert sorted(events.values()) == sorted(ONCE)
    assert all(24 <= hour < size.hours for hour in events)


def test_a_kill_finds_the_step_at_its_share_of_the_hour_and_what_it_cost_is_made_up_for(tmp_path: Path) -> None:
    year = Year(tmp_path, Size(1, 0, 1))
    year.journal.typical = {"ingest": [6.0, 600], "forecast": [2.0, 200], "publish": [2.0, 200]}
    steps = ["ingest", "forecast", "publish"]
    assert [step for step, kill in year.plan_hour(steps, []) if kill is None] == steps
    planned = list(year.plan_hour(steps, [Kill(0.3, at_call=True), Kill(0.7, at_call=False)]))
    assert [step for step, _ in planned] == ["ingest", "forecast", "forecast", "publish"]
    assert [kill and round(kill.share, 6) for _, kill in planned] == [0.5, 0.5, None, None]
    assert [kill.at_call for _, kill in planned[:2]] == [True, False]


@pytest.mark.soak
def test_two_days_of_faults_break_no_promise_and_the_accounts_tell_what_is_wrong(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))  # of the processes that live through the hours
    year, table = live_through(tmp_path, Size(2, 12, 3))
    print(f"\n{table}")
    assert not year.journal.violations, table
    assert year.journal.hour == 48
    with duckdb.connect(tmp_path / "data" / "warehouse.duckdb") as con:
        con.execute("delete from readings where station_id = 'Bern' and observed_at = '2040-02-20 05:00:00+00'")
        con.execute(
            "update observation_versions set air_temperature_c = 1.23 where observed_at = '2040-02-21 05:00:00+00'"
        )
        con.execute("update scores set mae = mae + 1 where lead_hours = 3")
        con.execute("update forecasts set q50 = q50 + 1, value = value + 1")
    with serve(year.book.answer, port=year.journal.port):
        list(find_faults_of_year(year))
    told = "\n".join(year.journal.violations)
    for what in (
        "rows are not accounted for",
        "observation_versions of an undisturbed year",
        "scores made anew",
        "forecasts made anew",
    ):
        assert what in told
