"""Ingestion: every delivered row is accounted for, nothing counts twice, and bad deliveries leave no trace."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from daycast.errors import ContractError
from daycast.settings import Settings
from daycast.sources.batch import READING_KEYS, SourceBatch, no_problems
from daycast.steps.ingest import Ingested, ingest_source
from daycast.times import HOUR
from integration.by_hand import ByHand, by_hand

START = datetime(2026, 2, 1, tzinfo=UTC)
NOW = START + timedelta(days=3)
WARMTH, RAIN = "air_temperature_c", "precipitation_mm"
INF = float("inf")
SCHEMA = {**READING_KEYS, WARMTH: pl.Float64(), RAIN: pl.Float64()}
Row = tuple[str, float, float | None, float | None]  # station, hours after START, warmth, rain


def delivery(*rows: Row, origin: str = "a page", receipt: str = "stated") -> SourceBatch:
    """Rows received a minute after they were observed; as they came, each has a `word` beside it."""
    frame = pl.DataFrame(
        [(s, START + o * HOUR, START + o * HOUR + timedelta(minutes=1), w, p) for s, o, w, p in rows],
        schema=SCHEMA,
        orient="row",
    )
    raw = frame.select("station_id", pl.col(WARMTH).cast(pl.String).alias("word"))
    return by_hand(frame, raw=raw, origin=origin, receipt=receipt)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.model_validate({}, context={"folder": tmp_path})


def ingest(settings: Settings, *deliveries: SourceBatch, now: datetime = NOW) -> Ingested:
    return ingest_source(settings, ByHand(deliveries), now)


def rows_of(settings: Settings, query: str) -> list[tuple]:
    with settings.warehouse.write(NOW) as con:
        return con.execute(query).fetchall()


def everything(settings: Settings) -> dict[str, list[tuple]]:
    names = ("batches", "readings", "rejected_readings", "observation_versions", "stations", "watermarks")
    return {name: sorted(map(repr, rows_of(settings, f"from {name}"))) for name in names}


def test_readings_become_observations_of_the_hour_with_flags(settings: Settings) -> None:
    ingest(settings, delivery(("a", 0.5, 1.0, 0.2), ("a", 1.0, 2.0, 0.3), ("a", 3.0, None, 0.0)))
    query = f"select observed_at, known_from, {WARMTH}, {WARMTH}_flag, {RAIN} from observations order by observed_at"
    minute = timedelta(minutes=1)
    assert rows_of(settings, query) == [
        (START + HOUR, START + HOUR + minute, 2.0, 1, 0.5),
        (START + 3 * HOUR, START + 3 * HOUR + minute, None, 9, 0.0),
    ]
    assert rows_of(settings, "select station_id, latitude from stations") == [("a", None)]


def test_what_was_believed_at_a_moment_can_be_asked_of_the_warehouse(settings: Settings) -> None:
    first, second = delivery(("a", 1.0, 2.0, 0.3)), delivery(("a", 1.0, 7.0, 0.3), origin="later")
    late = second.readings.with_columns(pl.col("received_at") + 5 * HOUR)
    ingest(settings, first, replace(second, readings=late))
    as_of = f"select {WARMTH} from observations_as_of(timestamptz '2026-02-01 %s:00Z')"
    assert [rows_of(settings, as_of % time) for time in ("01:00", "01:01", "06:00", "06:01")] == [
        [],
        [(2.0,)],
        [(2.0,)],
        [(7.0,)],
    ]


def test_ingesting_twice_adds_nothing(settings: Settings) -> None:
    pieces = delivery(("a", 1.0, 2.0, 0.3), ("a", 2.0, INF, 0.3), ("b", 1.0, 2.0, None))
    first = ingest(settings, pieces)
    before = everything(settings)
    assert (first.delivered, first.kept, first.repeated, first.refused) == (3, 2, 0, 1)
    assert ingest(settings, pieces) == Ingested("by hand", 0, 0, 0, 0, 0)
    assert everything(settings) == before


def test_a_delivery_that_is_offered_again_is_known_by_its_content(settings: Settings) -> None:
    pieces = replace(delivery(("a", 1.0, 2.0, 0.3)), complete=False)
    ingest(settings, pieces)
    before = everything(settings)
    assert ingest(settings, pieces).delivered == 0
    assert everything(settings) == before


@pytest.mark.parametrize("receipt", ["stated", "assumed"])
@pytest.mark.slow
def test_the_same_readings_from_elsewhere_are_kept_as_repeated_and_change_no_observation(
    settings: Settings, receipt: str
) -> None:
    rows = (("a", 1.0, 2.0, 0.3), ("a", 2.0, None, 0.3))
    ingest(settings, delivery(*rows, receipt=receipt))
    before = everything(settings)
    again = ingest(settings, delivery(*rows, ("a", 3.0, 4.0, 0.0), origin="elsewhere", receipt=receipt))
    assert (again.delivered, again.kept, again.repeated) == (3, 3, 2)
    assert len(everything(settings)["readings"]) == len(before["readings"]) + 1
    assert set(before["observation_versions"]) < set(everything(settings)["observation_versions"])


def test_a_correction_whose_receipt_is_assumed_is_known_from_the_clock(settings: Settings) -> None:
    ingest(settings, delivery(("a", 1.0, 2.0, None), receipt="assumed"))
    ingest(settings, delivery(("a", 1.0, 5.0, None), origin="corrected", receipt="assumed"), now=NOW + HOUR)
    query = f"select known_from, known_until, {WARMTH} from observation_versions order by known_from"
    known = START + HOUR + timedelta(minutes=1)
    assert rows_of(settings, query) == [(known, NOW + HOUR, 2.0), (NOW + HOUR, None, 5.0)]


def test_delivered_is_kept_and_refused(settings: Settings) -> None:
    good = [("a", float(hour), 1.0, 0.0) for hour in range(1, 30)]
    bad = [("a", 30.0, INF, 0.0), ("a", 31.0, 1.0, -INF), ("", 32.0, 1.0, 0.0)]
    taken = ingest(settings, delivery(*good, *bad), delivery(("b", 1.0, INF, -INF), ("b", 2.0, 1.0, 0.0), origin="two"))
    assert (taken.delivered, taken.kept, taken.refused) == (34, 30, 4)
    account = "select origin, rows_delivered, rows_kept, rows_refused, rows_repeated from batches order by origin"
    assert rows_of(settings, account) == [("a page", 32, 29, 3, 0), ("two", 2, 1, 1, 0)]
    assert rows_of(settings, "select count(*) from readings") == [(30,)]


def test_a_refused_row_is_quarantined_as_it_came_with_each_reason(settings: Settings) -> None:
    ingest(settings, delivery(("b", 1.0, INF, -INF), ("b", 2.0, 1.0, 0.0)))
    query = "select row_number, column_name, value, reason, reading, rejected_at from rejected_readings order by column_name"
    rejected = rows_of(settings, query)
    assert [row[:4] for row in rejected] == [
        (0, WARMTH, "inf", "not finite"),
        (0, RAIN, "-inf", "not finite"),
    ]
    assert all(json.loads(row[4]) == {"station_id": "b", "word": "inf"} for row in rejected)
    assert all(row[5] == NOW for row in rejected)


def test_an_impossible_value_is_kept_and_failed_and_the_rest_of_its_row_is_good(settings: Settings) -> None:
    taken = ingest(settings, delivery(("a", 1.0, -999.9, 0.2), ("a", 2.0, 1.0, 0.0)))
    assert (taken.kept, taken.refused, dict(taken.flagged)) == (2, 0, {"gross_range": 1})
    columns = f"{WARMTH}, {WARMTH}_flag, {WARMTH}_check, {RAIN}, {RAIN}_flag, {RAIN}_check"
    assert rows_of(settings, f"select {columns} from observations order by observed_at") == [
        (-999.9, 4, "gross_range", 0.2, 1, None),
        (1.0, 1, None, 0.0, 1, None),
    ]


def test_a_row_that_the_source_could_not_read_is_refused_whatever_else_it_holds(settings: Settings) -> None:
    problem = pl.DataFrame(
        {"row_number": [1], "column": ["Temp"], "value": ["warm"], "reason": ["no number"]}, schema=no_problems().schema
    )
    ingest(settings, replace(delivery(("a", 1.0, 1.0, 0.0), ("a", 2.0, None, 0.0)), problems=problem))
    assert rows_of(settings, "select row_number, column_name, value, reason from rejected_readings") == [
        (1, "Temp", "warm", "no number")
    ]
    assert rows_of(settings, "select count(*) from observations") == [(1,)]


def test_a_bad_value_is_accounted_for_and_costs_nothing_else_of_its_row(settings: Settings) -> None:
    bad = pl.DataFrame(
        {
            "row_number": [1, 1],
            "column": ["Temp", "Temp"],
            "value": ["warm", "warm"],
            "reason": ["no number", "no unit"],
        },
        schema=no_problems().schema,
    )
    rows = delivery(("a", 1.0, 1.0, 0.1), ("a", 2.0, None, 0.2), ("a", 3.0, 3.0, 0.3))
    taken = ingest(settings, replace(rows, bad_values=bad, left_out=4))
    assert (taken.delivered, taken.kept, taken.refused, taken.bad_values, taken.left_out) == (3, 3, 0, 2, 4)
    assert "3 kept (0 known before, 0 revised), 0 refused, 2 values refused, 4 rows left out: not mapped; 0" in str(
        taken
    )
    columns = "row_number, column_name, value, reason, reading"
    assert rows_of(settings, f"select {columns} from rejected_readings order by reason") == [
        (1, "Temp", "warm", reason, '{"station_id":"a","word":null}') for reason in ("no number", "no unit")
    ]
    assert rows_of(settings, f"select {WARMTH}, {RAIN} from observations order by observed_at") == [
        (1.0, 0.1), (None, 0.2), (3.0, 0.3)
    ]  # fmt: skip
    assert rows_of(settings, "select rows_kept, rows_refused from batches") == [(3, 0)]


def test_a_row_is_refused_for_its_time_although_a_value_is_bad_too(settings: Settings) -> None:
    schema = no_problems().schema
    time = pl.DataFrame({"row_number": [0], "column": ["t"], "value": ["soon"], "reason": ["no time"]}, schema=schema)
    bad = pl.DataFrame(
        {"row_number": [0], "column": ["Temp"], "value": ["warm"], "reason": ["no number"]}, schema=schema
    )
    rows = delivery(("a", 1.0, None, 0.1), ("a", 2.0, 1.0, 0.2))
    taken = ingest(settings, replace(rows, problems=time, bad_values=bad))
    assert (taken.kept, taken.refused) == (1, 1)
    query = "select column_name, value from rejected_readings order by column_name"
    assert rows_of(settings, query) == [("Temp", "warm"), ("t", "soon")]


def test_too_many_rows_with_bad_values_refuse_the_whole_delivery(settings: Settings) -> None:
    schema = no_problems().schema
    rows = delivery(*(("a", float(hour), None, 0.0) for hour in range(1, 31)))
    for count, refused in ((6, False), (7, True)):  # of 30 rows a fifth is allowed
        bad = pl.DataFrame(
            {
                "row_number": range(count),
                "column": ["T"] * count,
                "value": ["M"] * count,
                "reason": ["no number"] * count,
            },
            schema=schema,
        )
        spoilt = replace(rows, origin=f"{count}", fingerprint=f"{count}", bad_values=bad)
        if not refused:
            assert ingest(settings, spoilt).bad_values == 6
            continue
        with pytest.raises(ContractError, match=r"7: 7 of 30 rows are bad.*T no number \(7×, for example 'M'\)"):
            ingest(settings, spoilt)
        query = "select count(*) from rejected_readings join batches using (batch_id) where reason is not null and origin = '7'"
        assert rows_of(settings, query.replace("where reason", "where batches.reason")) == [(7,)]


@pytest.mark.slow
def test_a_delivery_with_too_many_bad_rows_brings_nothing_but_its_account_and_names_the_commonest_reasons(
    settings: Settings,
) -> None:
    ingest(settings, delivery(("z", 1.0, 1.0, 0.0)))
    before = everything(settings)
    bad: list[Row] = [("a", float(h), 99.0, 0.0) for h in range(1, 6)]
    bad += [("a", float(h), 1.0, -1.0) for h in range(6, 10)]
    bad += [("", float(h), 1.0, 0.0) for h in range(10, 13)]
    bad += [("a", 13.0, 99.0, 0.0)]
    good: list[Row] = [("a", float(h), 1.0, 0.0) for h in range(20, 50)]
    spoilt = delivery(*bad, *good, origin="page 2")
    with pytest.raises(ContractError) as caught:
        ingest(settings, spoilt)
    message = str(caught.value)
    assert "page 2: 13 of 43 rows are bad" in message
    reasons = [
        f"{WARMTH} outside -95 to 65 °C (6×",
        f"{RAIN} outside 0 to 350 mm (4×",
        "station_id empty station id (3×",
    ]
    assert [message.index(reason) for reason in reasons] == sorted(message.index(reason) for reason in reasons)
    after = everything(settings)
    accounts = ("batches", "rejected_readings")
    assert {name: rows for name, rows in after.items() if name not in accounts} == {
        name: rows for name, rows in before.items() if name not in accounts
    }
    account = "select rows_delivered, rows_kept, rows_refused, complete, reason from batches where origin = 'page 2'"
    assert rows_of(settings, account) == [(43, 0, 43, False, message)]
    rejected = "select count(distinct row_number), count(*), any_value(reading) from rejected_readings"
    ((rows, problems, reading),) = rows_of(settings, rejected)
    assert (rows, problems) == (13, 13)
    assert "word" in json.loads(reading)


def spoilt_files(count: int) -> list[SourceBatch]:
    """Deliveries whose rows are all bad, of the same stretch of time, each for a reason of its own."""
    return [
        delivery(*[("a", float(h), 70.0 + number, 0.0) for h in range(30)], origin=f"file {number}")
        for number in range(count)
    ]


def test_every_delivery_refused_whole_in_one_run_is_told_and_accounted_for_with_its_reason(settings: Settings) -> None:
    files, good = spoilt_files(5), delivery(("b", 1.0, 1.0, 0.0), origin="good")
    with pytest.raises(ContractError) as caught:
        ingest(settings, files[3], files[0], good, files[4], files[2], files[1])
    message = str(caught.value)
    assert message.startswith("5 errors: (1) file 0: 30 of 30 rows are bad")
    assert [message.count(f"file {number}: ") for number in range(5)] == [1, 1, 1, 0, 0]
    assert message.endswith("; and 2 more")
    accounts = rows_of(
        settings, "select origin, rows_delivered, rows_kept, rows_refused, reason from batches order by all"
    )
    assert [row[:4] for row in accounts] == [*((f"file {number}", 30, 0, 30) for number in range(5)), ("good", 1, 1, 0)]
    assert [f"for example '{70 + number}.0'" in accounts[number][4] for number in range(5)] == [True] * 5
    assert accounts[5][4] is None
    rejected = "select origin, count(*) from rejected_readings join batches using (batch_id) group by all order by all"
    assert rows_of(settings, rejected) == [(f"file {number}", 30) for number in range(5)]


def test_which_deliveries_are_named_does_not_depend_on_their_order(tmp_path: Path) -> None:
    messages = set()
    for name, order in (("forwards", slice(None)), ("backwards", slice(None, None, -1))):
        one = Settings.model_validate({}, context={"folder": tmp_path / name})
        with pytest.raises(ContractError) as caught:
            ingest(one, *spoilt_files(4)[order])
        messages.add(str(caught.value))
    assert len(messages) == 1


@pytest.mark.slow
def test_a_delivery_refused_at_every_run_has_one_account_and_is_taken_in_once_it_may_be(settings: Settings) -> None:
    (file,) = spoilt_files(1)
    for hours in range(3):
        with pytest.raises(ContractError):
            ingest(settings, file, now=NOW + hours * HOUR)
    assert rows_of(settings, "select count(*), max(ingested_at) from batches") == [(1, NOW + 2 * HOUR)]
    assert rows_of(settings, "select count(*) from rejected_readings") == [(30,)]
    lenient = settings.model_copy(update={"ingest": settings.ingest.model_copy(update={"refuse_above": 1.0})})
    assert ingest(lenient, file, now=NOW + 3 * HOUR).kept == 30
    assert rows_of(settings, "select rows_kept, rows_refused, reason from batches") == [(30, 0, None)]
    assert rows_of(settings, "select count(*) from rejected_readings") == [(0,)]


def test_of_a_delivery_refused_whole_the_first_bad_rows_are_kept_and_all_are_counted(settings: Settings) -> None:
    rows = [("a", h / 60, INF, INF) for h in range(1200)]
    with pytest.raises(ContractError):
        ingest(settings, delivery(*rows))
    assert rows_of(settings, "select count(distinct row_number), max(row_number) from rejected_readings") == [
        (1000, 999)
    ]
    assert rows_of(settings, "select rows_refused from batches") == [(1200,)]


def test_earlier_deliveries_stay_where_a_later_one_is_refused(settings: Settings) -> None:
    spoilt = delivery(*[("a", float(h), 99.0, 0.0) for h in range(30)], origin="spoilt")
    with pytest.raises(ContractError):
        ingest(settings, delivery(("a", 1.0, 1.0, 0.0)), spoilt)
    assert rows_of(settings, "select origin from batches where reason is null") == [("a page",)]
    assert rows_of(settings, "select count(*) from watermarks") == [(0,)]


def test_in_a_small_delivery_bad_rows_are_refused_one_by_one(settings: Settings) -> None:
    taken = ingest(settings, delivery(*[("a", float(h), INF, 0.0) for h in range(18)], ("a", 20.0, 1.0, 0.0)))
    assert (taken.kept, taken.refused) == (1, 18)


@pytest.mark.slow
def test_readings_in_pieces_make_the_same_observations_as_all_at_once(tmp_path: Path) -> None:
    """The simulated network in hours, in an odd order of moments, against one ingest of all of it."""
    pieces, whole = (
        Settings.model_validate(
            {"sources": [{"kind": "simulated", "stations": 3, "history": "9d"}]}, context={"folder": tmp_path / name}
        )
        for name in ("pieces", "whole")
    )
    until = START + timedelta(days=9)
    for hours in (-31, -30, -7, 0):
        ingest_source(pieces, pieces.sources[0], until + hours * HOUR)
    first = until - 31 * HOUR - timedelta(days=9)
    ingest_source(whole, whole.sources[0], until, since=first)
    columns = "station_id, observed_at, known_from, known_until, air_temperature_c, precipitation_mm, wind_from_deg"
    query = f"select {columns} from observation_versions order by all"
    assert rows_of(pieces, query) == rows_of(whole, query)
    assert len(rows_of(whole, query)) > 3 * 9 * 24
