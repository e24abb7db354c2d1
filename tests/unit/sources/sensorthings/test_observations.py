"""From Observations to rows: order, times, and what cannot be read."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from daycast.sources.sensorthings.datastreams import Channel
from daycast.sources.sensorthings.observations import Timing, as_table, join_wide, list_faults, read_observations
from daycast.sources.sensorthings.things import Datastream
from daycast.sources.tables.units import Unit
from daycast.sources.tables.values import ValueReader

AT_ONCE = Timing(timedelta(0), result_time_is_receipt=False, longest_interval=timedelta(hours=1))
STATED = Timing(timedelta(minutes=5), result_time_is_receipt=True, longest_interval=timedelta(hours=1))


def channel(variable: str, number: int = 1) -> Channel:
    stream = Datastream.model_validate({"@iot.id": number})
    reader = ValueReader(variable, "result", Unit("as it is"), compass=False, missing=(), decimal=".")
    return Channel(stream, reader, "°C")


def read(variable: str, *observations: tuple, timing: Timing = AT_ONCE) -> tuple[Channel, pl.DataFrame]:
    fields = [dict(zip(("phenomenonTime", "result", "resultTime"), each, strict=False)) for each in observations]
    return channel(variable), read_observations(as_table(fields), channel(variable), timing)


def test_results_of_one_time_are_all_kept_the_last_made_last():
    noon = "2024-07-01T12:00:00Z"
    temperature = read(
        "air_temperature_c", (noon, 3, "2024-07-02T00:00:00Z"), (noon, 2, "2024-07-01T13:00:00Z"), (noon, 1)
    )
    wide = join_wide([temperature, read("relative_humidity_pct", (noon, 50))])
    assert wide.select("air_temperature_c", "relative_humidity_pct").rows() == [(1.0, 50.0), (2.0, None), (3.0, None)]


def test_rows_are_in_order_of_time_whichever_datastream_they_come_from():
    early, late = "2024-07-01T10:00:00Z", "2024-07-01T12:00:00Z"
    wide = join_wide([read("air_temperature_c", (late, 2)), read("relative_humidity_pct", (early, 50))])
    assert wide["observed_at"].dt.hour().to_list() == [10, 12]


@pytest.mark.parametrize(
    ("time", "result", "column", "reason"),
    [
        (None, 1, "phenomenonTime", "no time"),
        ("noon", 1, "phenomenonTime", "no time in ISO 8601 with its offset from UTC"),
        ("2024-07-01T10:00:00Z/..", 1, "phenomenonTime", "no time in ISO 8601 with its offset from UTC"),
        ("2024-07-01T10:00:00Z/2024-07-01T09:00:00Z", 1, "phenomenonTime", "an interval that ends before it begins"),
        (
            "2024-07-01T10:00:00Z/2024-07-01T11:00:01Z",
            1,
            "phenomenonTime",
            "stands for more than longest_interval = 1:00:00",
        ),
        ("2024-07-01T10:00:00Z", "1,5", "result", "no finite number"),
        ("2024-07-01T10:00:00Z", float("nan"), "result", "no finite number"),
        (None, "broken", "phenomenonTime", "no time"),
    ],
)
def test_the_first_fault_of_an_observation_is_told_with_the_value_at_fault(time, result, column, reason):
    faults = list_faults(join_wide([read("air_temperature_c", (time, result))]))
    value = time if column == "phenomenonTime" else result if isinstance(result, str) else "NaN"
    assert faults.rows() == [(0, f"Datastreams(1)/{column}", value, reason)]


def test_a_result_time_that_cannot_be_read_is_a_fault_only_where_it_is_the_receipt():
    given = ("2024-07-01T10:00:00Z", 1, "soon")
    assert list_faults(join_wide([read("air_temperature_c", given)])).is_empty()
    faults = list_faults(join_wide([read("air_temperature_c", given, timing=STATED)]))
    assert faults.rows() == [(0, "Datastreams(1)/resultTime", "soon", "no time in ISO 8601 with its offset from UTC")]


def test_numbers_are_read_to_the_last_digit():
    _, rows = read("air_temperature_c", ("2024-07-01T10:00:00Z", 0.1 + 0.2), ("2024-07-01T11:00:00Z", 1e-7))
    assert rows["value"].to_list() == [0.1 + 0.2, 1e-7]


def test_times_keep_their_fractions_of_a_second():
    _, rows = read("air_temperature_c", ("2024-07-01T10:00:00.125+05:30", 1))
    assert rows["observed_at"].to_list() == [datetime(2024, 7, 1, 4, 30, 0, 125000, tzinfo=UTC)]
