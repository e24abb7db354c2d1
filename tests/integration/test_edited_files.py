"""Files that are edited, rotated, renamed or copied: nothing that they no longer have goes on in silence."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from daycast.errors import SourceError
from daycast.settings import Settings
from daycast.sources.files import csv_table
from daycast.steps.ingest import Ingested, ingest_source
from daycast.times import HOUR

NOW = datetime(2026, 5, 12, tzinfo=UTC)
START = datetime(2026, 5, 10, tzinfo=UTC)
GARDEN = {
    "kind": "csv",
    "name": "garden",
    "files": "in/*",
    "station": "station",
    "time": "time",
    "columns": {"air_temperature_c": "temp", "relative_humidity_pct": "rh"},
}
Cells = dict[int, tuple[object, object]]


def settings_of(folder: Path, **changed: Any) -> Settings:
    source = {key: value for key, value in {**GARDEN, **changed}.items() if value is not None}
    return Settings.model_validate({"data": "data", "sources": [source]}, context={"folder": folder})


def write(folder: Path, name: str, text: str) -> None:
    path = folder / "in" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (0, 0))


def rows(cells: Cells, station: str = "A", header: str = "time,station,temp,rh") -> str:
    """The text of a file with temperature and humidity of hours after START; None is an empty cell."""
    lines = [
        f"{START + hour * HOUR:%Y-%m-%dT%H:%MZ},{station},{'' if temp is None else temp},{'' if rh is None else rh}"
        for hour, (temp, rh) in cells.items()
    ]
    return "\n".join([header, *lines]) + "\n"


def hours(*numbers: int) -> Cells:
    return {hour: (hour + 0.5, 60 + hour) for hour in numbers}


def ingest(settings: Settings, at: int = 0, **more: Any) -> Ingested:
    """Ingest the only source, `at` hours after NOW."""
    return ingest_source(settings, settings.sources[0], NOW + at * HOUR, **more)


def dropped(done: Ingested) -> list[str]:
    return [doubt for doubt in done.doubts if "the file no longer has" in doubt]


def held(settings: Settings, name: str = "air_temperature_c") -> list[Any]:
    """The values believed now, by hour."""
    with duckdb.connect(settings.warehouse_file, read_only=True) as con:
        return [value for (value,) in con.execute(f"select {name} from observations order by observed_at").fetchall()]


def test_a_blanked_value_is_told_until_the_source_is_read_again(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    write(tmp_path, "a.csv", rows(hours(0, 1, 2, 3)))
    assert dropped(ingest(settings)) == []
    write(tmp_path, "a.csv", rows({**hours(0, 1, 2, 3), 2: (None, 62)}))
    told = (
        "in/a.csv: 1 value is held that the file no longer has (station A, 2026-05-10T02:00Z, air_temperature_c 2.5): "
        "`daycast ingest --reread garden` retracts what no file has any more"
    )
    assert dropped(ingest(settings, 1)) == [told]
    assert held(settings)[2] == 2.5
    write(tmp_path, "a.csv", rows({**hours(0, 1, 2, 3, 4), 2: (None, 62)}))  # it goes on
    assert dropped(ingest(settings, 2)) == [told]
    assert dropped(ingest(settings, 3, reread=True)) == []
    assert held(settings)[2] is None
    write(tmp_path, "a.csv", rows({**hours(0, 1, 2, 3, 4, 5), 2: (None, 62)}))
    assert dropped(ingest(settings, 4)) == []


def test_a_dropped_row_and_a_cell_that_is_no_number_any_more_are_told(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    write(tmp_path, "a.csv", rows(hours(0, 1, 2, 3)))
    ingest(settings)
    write(tmp_path, "a.csv", rows({**hours(0, 2, 3), 2: ("broken", 62)}))
    (told,) = dropped(ingest(settings, 1))
    assert told.startswith("in/a.csv: 3 values are held that the file no longer has (station A, 2026-05-10T01:00Z, ")


def test_the_newest_row_blanked_is_told(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    write(tmp_path, "a.csv", rows(hours(0, 1)))
    ingest(settings)
    write(tmp_path, "a.csv", rows({**hours(0), 1: (1.5, None)}))
    (told,) = dropped(ingest(settings, 1))
    assert "relative_humidity_pct 61" in told


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(rows(hours(4, 5)), id="a log that begins anew"),
        pytest.param(rows(hours(2, 3, 4)), id="a log of the last hours"),
        pytest.param(rows(hours(0, 1, 2, 3, 4)), id="a log that grows"),
        pytest.param(rows(hours(0, 1, 2, 3), station="B"), id="another station"),
        pytest.param(rows({**hours(0, 1, 2), 3: (9, 63)}), id="another value"),
        pytest.param(rows(hours(1)), id="a day that was cut out"),
    ],
)
def test_what_the_new_content_does_not_cover_is_not_told(tmp_path: Path, after: str) -> None:
    settings = settings_of(tmp_path)
    write(tmp_path, "a.csv", rows(hours(0, 1, 2, 3)))
    ingest(settings)
    write(tmp_path, "a.csv", after)
    assert dropped(ingest(settings, 1)) == []


def test_what_another_file_said_first_or_corrected_is_not_told(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    write(tmp_path, "a.csv", rows(hours(0, 1, 2)))
    write(tmp_path, "b.csv", rows({**hours(0, 1, 2), 1: (9, 61)}))
    ingest(settings)
    write(tmp_path, "a.csv", rows({**hours(0, 1, 2), 1: (None, 61)}))  # b.csv has corrected it
    write(tmp_path, "b.csv", rows({**hours(0, 1, 2), 1: (9, 61), 2: (2.5, None)}))  # a.csv has said it
    assert dropped(ingest(settings, 1)) == []


def test_each_value_in_a_row_of_its_own(tmp_path: Path) -> None:
    settings = settings_of(
        tmp_path,
        tidy={"variable": "what", "value": "value"},
        columns={"air_temperature_c": "temp", "relative_humidity_pct": "rh"},
    )
    lines = [
        f"{START + hour * HOUR:%Y-%m-%dT%H:%MZ},A,{what},{60 + hour}" for what in ("temp", "rh") for hour in range(4)
    ]
    write(tmp_path, "a.csv", "\n".join(["time,station,what,value", *lines]) + "\n")
    ingest(settings)
    write(tmp_path, "a.csv", "\n".join(["time,station,what,value", *lines[:5], *lines[6:]]) + "\n")
    (told,) = dropped(ingest(settings, 1))
    assert (
        "1 value is held that the file no longer has (station A, 2026-05-10T01:00Z, relative_humidity_pct 61)" in told
    )


@pytest.mark.parametrize("order", ["hours together", "columns apart"])
def test_a_file_of_many_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: str) -> None:
    monkeypatch.setattr(csv_table, "_MAX_ROWS", 3)
    settings = settings_of(tmp_path)
    whole = hours(*range(9))
    if order == "columns apart":  # the first three parts have the temperatures, the others the humidity
        text = rows({hour: (temp, None) for hour, (temp, _) in whole.items()})
        text += rows({hour: (None, rh) for hour, (_, rh) in whole.items()}).split("\n", 1)[1]
    else:
        text = rows(whole)
    write(tmp_path, "a.csv", text)
    ingest(settings)
    write(tmp_path, "a.csv", text + rows(hours(9)).split("\n", 1)[1])
    assert dropped(ingest(settings, 1)) == []
    if order == "hours together":
        write(tmp_path, "a.csv", rows({**whole, 4: (None, 64)}))
        (told,) = dropped(ingest(settings, 2))
        assert (
            "1 value is held that the file no longer has (station A, 2026-05-10T04:00Z, air_temperature_c 4.5)" in told
        )


def test_counters_of_two_files_that_meet(tmp_path: Path) -> None:
    counter = {"precipitation_mm": {"column": "temp", "cell_method": "counter"}, "relative_humidity_pct": "rh"}
    settings = settings_of(tmp_path, columns=counter)
    write(tmp_path, "a.csv", rows({0: (10, 1), 1: (10.2, 1), 3: (10.6, 1), 4: (10.6, 1)}))
    ingest(settings)
    write(tmp_path, "b.csv", rows({2: (10.4, 1), 5: (10.6, 1)}))  # makes another amount of the row at 3 h
    ingest(settings, 1)
    write(tmp_path, "b.csv", rows({2: (10.4, 1), 5: (10.6, 1), 6: (10.6, 1)}))
    assert dropped(ingest(settings, 2)) == []
    write(tmp_path, "a.csv", rows({0: (10, 1), 1: (10.2, 1), 3: (None, 1), 4: (10.6, 1)}))
    (told,) = dropped(ingest(settings, 3))
    assert "precipitation_mm 0.2" in told


def test_parquet_and_a_file_that_is_put_away(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, kind="parquet", after={"move_to": "done"})
    for at, hours_told in enumerate([(0, 1, 2), (0, 2)]):
        table = pl.DataFrame(
            [("A", START + timedelta(hours=hour), 5.0, 50.0) for hour in hours_told],
            ["station", "time", "temp", "rh"],
            orient="row",
        )
        (tmp_path / "in").mkdir(exist_ok=True)
        table.write_parquet(tmp_path / "in" / "a.parquet")
        os.utime(tmp_path / "in" / "a.parquet", (0, 0))
        done = ingest(settings, at)
    (told,) = dropped(done)
    assert told.startswith("in/a.parquet: 2 values are held that the file no longer has")
    assert told.endswith(
        ": take the earlier file out of done, and `daycast ingest --reread garden` retracts what no file has any more"
    )


def at_age(folder: Path, name: str, days: float) -> None:
    """Have a file written so many days before NOW."""
    written = (NOW - timedelta(days=days)).timestamp()
    os.utime(folder / "in" / name, (written, written))


def corrected(folder: Path, **more: Any) -> Settings:
    """A network with a.csv, of which b.csv has corrected the value of 2 o'clock to 9."""
    settings = settings_of(folder, **more)
    write(folder, "a.csv", rows(hours(0, 1, 2, 3)))
    at_age(folder, "a.csv", 9)
    ingest(settings)
    write(folder, "b.csv", rows({**hours(0, 1, 2, 3), 2: (9, 62)}))
    at_age(folder, "b.csv", 7)
    assert ingest(settings, 1).revised == 1
    return settings


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_content_that_comes_back_under_a_new_name_after_a_correction_is_the_newest(
    tmp_path: Path, is_kept: bool
) -> None:
    settings = corrected(tmp_path)
    write(tmp_path, "c.csv", rows(hours(0, 1, 2, 3)))
    at_age(tmp_path, "c.csv", 5)
    if not is_kept:
        (tmp_path / "in" / "a.csv").unlink()
        (tmp_path / "in" / "b.csv").unlink()
        os.utime(tmp_path / "in" / "c.csv")
    assert ingest(settings, 3000).revised == 1  # hours after NOW: later than the clock of these files
    assert held(settings)[2] == 2.5
    assert ingest(settings, 3001).delivered == 0
    write(tmp_path, "d.csv", rows({**hours(0, 1, 2, 3), 2: (9, 62)}))  # and the correction comes back
    at_age(tmp_path, "d.csv", 3)
    assert ingest(settings, 3002).revised == (1 if is_kept else 0)


def test_a_file_that_is_renamed_or_put_away_says_nothing_new(tmp_path: Path) -> None:
    settings = corrected(tmp_path, files="in/**/*.csv")
    (tmp_path / "in" / "old").mkdir()
    for name in ("a.csv", "b.csv"):
        (tmp_path / "in" / name).rename(tmp_path / "in" / "old" / f"z{name}")
    assert ingest(settings, 2).delivered == 0
    assert held(settings)[2] == 9


def test_a_copy_of_which_nothing_was_corrected_is_not_read(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    write(tmp_path, "a.csv", rows(hours(0, 1)))
    ingest(settings)
    write(tmp_path, "b.csv", rows(hours(2, 3)))
    ingest(settings, 1)
    write(tmp_path, "c.csv", rows(hours(0, 1)))
    at_age(tmp_path, "c.csv", 0)
    assert ingest(settings, 2).delivered == 0


def test_a_large_file_comes_back_under_a_new_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_table, "_MAX_ROWS", 2)
    settings = corrected(tmp_path)
    write(tmp_path, "c.csv", rows(hours(0, 1, 2, 3)))
    at_age(tmp_path, "c.csv", 5)
    assert ingest(settings, 2).revised == 1
    assert held(settings)[2] == 2.5


def test_what_was_put_away_comes_back_under_a_new_name(tmp_path: Path) -> None:
    settings = corrected(tmp_path, after={"move_to": "done"})
    write(tmp_path, "a-again.csv", rows(hours(0, 1, 2, 3)))
    at_age(tmp_path, "a-again.csv", 5)
    assert ingest(settings, 2).revised == 1
    assert held(settings)[2] == 2.5


@pytest.mark.parametrize("runs", [1, 2])
def test_a_file_with_its_columns_in_another_order_is_refused_where_they_are_known_by_position(
    tmp_path: Path, runs: int
) -> None:
    settings = settings_of(tmp_path, columns={"air_temperature_c": 3, "relative_humidity_pct": 4})
    write(tmp_path, "a.csv", rows(hours(0, 1)))
    if runs == 2:
        ingest(settings)
    write(tmp_path, "b.csv", "time,station,rh,temp\n2026-05-10T02:00Z,A,62,2.5\n")
    told = (
        r"in/b.csv: column 3 is called 'rh' here \(time, station, rh, temp\), "
        r"and 'temp' in in/a.csv \(time, station, temp, rh\): "
        "give names in place of positions, or read these files as another source"
    )
    with pytest.raises(SourceError, match=told):
        ingest(settings, 1)
    assert held(settings) == [0.5, 1.5]
    write(tmp_path, "b.csv", "time,station,temp,rh\n2026-05-10T02:00Z,A,2.5,62\n")
    assert ingest(settings, 2).kept == 1


def test_a_column_of_another_name_is_pointed_out_and_other_columns_may_be_anywhere(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, columns={"air_temperature_c": 3, "relative_humidity_pct": "rh"})
    write(tmp_path, "a.csv", rows(hours(0, 1), header="time,station,T2m,rh,battery"))
    assert ingest(settings).doubts == ()
    write(tmp_path, "b.csv", rows(hours(2, 3), header="time,station,T2m,battery,rh"))
    assert ingest(settings, 1).doubts == ()
    write(tmp_path, "c.csv", rows(hours(4, 5), header="time,station,T5cm,rh,battery"))
    (told,) = ingest(settings, 2).doubts
    assert told.startswith(
        "in/c.csv: column 3 is called 'T5cm' here (time, station, T5cm, rh, battery), and 'T2m' in in/a.csv"
    )


def test_repeated_names_in_another_order(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, columns={"air_temperature_c": 3, "dew_point_c": 4, "relative_humidity_pct": 5})
    write(tmp_path, "a.csv", "time,station,T,T,H\n2026-05-10T00:00Z,A,9,5,60\n")
    write(tmp_path, "b.csv", "time,station,T,H,T\n2026-05-10T01:00Z,A,9,60,5\n")
    with pytest.raises(SourceError, match="column 4 is called 'H' here"):
        ingest(settings)


def test_positions_that_are_changed_make_another_file_the_first(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", rows(hours(0, 1)))
    ingest(settings_of(tmp_path, columns={"air_temperature_c": 4, "relative_humidity_pct": 3}))
    write(tmp_path, "b.csv", "time,station,rh,temp\n2026-05-10T02:00Z,A,62,2.5\n")
    right = settings_of(tmp_path, columns={"air_temperature_c": 3, "relative_humidity_pct": 4})
    with pytest.raises(SourceError, match="column 3 is called 'rh' here"):
        ingest(right, 1)
    with pytest.raises(SourceError, match="column 3 is called 'rh' here"):
        ingest(right, 2, reread=True)
    assert held(right) == [0.5, 1.5]


def test_what_many_files_have_in_common_is_told_of_three(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    for number in range(7):
        cells = rows(hours(*range(3 * number, 3 * number + 3)))
        write(tmp_path, f"{number}.csv", cells.removesuffix("\n").rsplit(",", 1)[0] + "\n")
    told = [line for line in ingest(settings).doubts if "fewer fields" in line or "more" in line]
    assert [line.split(":")[0] for line in told] == [
        "in/0.csv",
        "in/1.csv",
        "in/2.csv",
        "and 4 more files like the last",
    ]


def test_a_counter_of_the_day_that_comes_row_by_row_is_pointed_at(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, columns={"precipitation_mm": "temp"}, after={"move_to": "done"})
    told = []
    for hour, total in enumerate([0, 0.2, 0.6, 0.6, 0.6, 1.4, 1.4, 1.4, 1.4, 1.4, 2.0, 2.0]):
        write(tmp_path, f"{hour:02d}.csv", rows({hour: (total, None)}))
        told += ingest(settings, hour).doubts
    assert "precipitation_mm behaves like a counter" in told[-1]


def test_what_is_odd_about_good_files_is_told_although_another_one_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = settings_of(tmp_path)
    write(tmp_path, "a.csv", rows(hours(0, 1, 2)))
    ingest(settings)
    write(tmp_path, "a.csv", rows(hours(0, 2)))
    write(tmp_path, "b.csv", "time,rh\n2026-05-10T02:00Z,62\n")
    caplog.set_level("WARNING", "daycast")
    with pytest.raises(SourceError, match="has no column"):
        ingest(settings, 1)
    assert "garden: in/a.csv: 2 values are held that the file no longer has" in caplog.text


def test_the_number_of_a_counter_that_was_taken_out_is_forgotten_by_a_reread(tmp_path: Path) -> None:
    counter = {"precipitation_mm": {"column": "temp", "cell_method": "counter"}, "relative_humidity_pct": "rh"}
    settings = settings_of(tmp_path, columns=counter)
    whole: Cells = {hour: (total, 1) for hour, total in enumerate([10, 10.2, 19.4, 10.6, 10.8])}
    write(tmp_path, "a.csv", rows(dict(list(whole.items())[:3])))
    ingest(settings)
    write(tmp_path, "a.csv", rows({**dict(list(whole.items())[:3]), 2: (None, 1)}))
    (told,) = dropped(ingest(settings, 1))
    assert "precipitation_mm 9.2" in told
    ingest(settings, 2, reread=True)
    assert held(settings, "precipitation_mm") == [None, 0.2, None]
    write(tmp_path, "a.csv", rows({**whole, 2: (None, 1)}))
    assert dropped(ingest(settings, 3)) == []
    assert held(settings, "precipitation_mm") == [None, 0.2, None, 0.4, 0.2]
