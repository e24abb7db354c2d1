"""Sheets of .xlsx files are read like CSV. The files are made here, cell by cell, as ECMA-376 says."""

import json
import re
from datetime import UTC, datetime
from html import escape
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pytest

from daycast.errors import SourceError
from daycast.sources.batch import SourceBatch
from daycast.sources.files import sheets
from daycast.sources.files.csv import CsvSource
from daycast.sources.files.inbox import UnfinishedFileError
from daycast.sources.files.sheets import as_text
from daycast.variables import BUILT_IN

FOREVER = datetime(2100, 1, 1, tzinfo=UTC)
AIR, RAIN = "air_temperature_c", "precipitation_mm"
NAMESPACE = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
DAY = 45809  # 1 June 2025, in days as spreadsheets count them
DATE, DATE_TIME, CLOCK = 1, 2, 3  # styles: number formats 14, 22 and 21
HOURS, OWN_DATE_TIME, OWN_DATE = 4, 5, 6  # styles: [h]:mm, and formats of the file itself
PERCENT, OWN_PERCENT, QUOTED_PERCENT = 7, 8, 9  # styles: number format 9, and formats of the file itself
Cell = str | float | tuple[float, int] | None  # a pair is a number with its style


def workbook(**contents: dict[int, list[Cell]]) -> bytes:
    """An .xlsx file of sheets, each with cells by row number."""
    file = BytesIO()
    with ZipFile(file, "w", ZIP_DEFLATED) as archive:
        parts = "".join(f'<sheet name="{name}" sheetId="{i}" r:id="r{i}"/>' for i, name in enumerate(contents, 1))
        links = "".join(
            f'<Relationship Id="r{i}" Type="{OFFICE}/worksheet" Target="worksheets/sheet{i}.xml"/>'
            for i in range(1, len(contents) + 1)
        )
        links += f'<Relationship Id="s" Type="{OFFICE}/styles" Target="styles.xml"/>'
        formats = "".join(
            f'<xf numFmtId="{number}" applyNumberFormat="1"/>' for number in (0, 14, 22, 21, 46, 164, 165, 9, 166, 167)
        )
        own = {
            164: "dd/mm/yyyy\\ hh:mm;@",
            165: "[$-407]d. mmmm yyyy&quot; (Tag h)&quot;",
            166: "0.0%",
            167: "0.00&quot; %&quot;",
        }
        codes = "".join(f'<numFmt numFmtId="{number}" formatCode="{code}"/>' for number, code in own.items())
        archive.writestr(
            "[Content_Types].xml",
            f'<Types xmlns="{PACKAGE}/content-types"><Default Extension="xml" ContentType="application/xml"/></Types>',
        )
        archive.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r" Type="{OFFICE}/officeDocument" '
            'Target="xl/workbook.xml"/></Relationships>',
        )
        archive.writestr(
            "xl/workbook.xml", f'<workbook xmlns="{NAMESPACE}" xmlns:r="{OFFICE}"><sheets>{parts}</sheets></workbook>'
        )
        archive.writestr(
            "xl/_rels/workbook.xml.rels", f'<Relationships xmlns="{PACKAGE}/relationships">{links}</Relationships>'
        )
        archive.writestr(
            "xl/styles.xml",
            f'<styleSheet xmlns="{NAMESPACE}"><numFmts>{codes}</numFmts><cellXfs>{formats}</cellXfs></styleSheet>',
        )
        for i, rows in enumerate(contents.values(), 1):
            body = "".join(row(number, cells) for number, cells in rows.items())
            archive.writestr(
                f"xl/worksheets/sheet{i}.xml",
                f'<worksheet xmlns="{NAMESPACE}"><sheetData>{body}</sheetData></worksheet>',
            )
    return file.getvalue()


def row(number: int, cells: list[Cell]) -> str:
    def written(column: int, cell: Cell) -> str:
        letters = ("", *(chr(code) for code in range(ord("A"), ord("Z") + 1)))
        at = f"{letters[column // 26]}{letters[1 + column % 26]}{number}"
        if cell is None:
            return ""
        if isinstance(cell, str):
            return f'<c r="{at}" t="inlineStr"><is><t>{escape(cell)}</t></is></c>'
        value, style = cell if isinstance(cell, tuple) else (cell, 0)
        return f'<c r="{at}" s="{style}"><v>{value!r}</v></c>'

    return f'<row r="{number}">{"".join(written(column, cell) for column, cell in enumerate(cells))}</row>'


def lines(content: bytes, sheet: str | int | None = None) -> list[str]:
    return as_text(BytesIO(content), "a.xlsx", sheet, ",").read().decode().splitlines()


def read(folder: Path, content: bytes, name: str = "a.xlsx", **settings) -> SourceBatch:
    (folder / name).write_bytes(content)
    given = {
        "name": "a",
        "files": "a.*",
        "station": {"constant": "roof"},
        "time": "time",
        "columns": {AIR: "t"},
    } | settings
    [batch] = CsvSource.model_validate(given, context={"folder": folder}).fetch(None, FOREVER, BUILT_IN, ())
    return batch


def test_a_sheet_becomes_the_text_that_a_csv_would_have():
    rows = {
        1: ["time", "t", "remark"],
        2: [(DAY + 0.5, DATE_TIME), 18.4, 'x "q", y'],
        3: [(DAY + 0.75, DATE_TIME), -3, None],
    }
    assert lines(workbook(Data=rows)) == [
        "time,t,remark",
        '2025-06-01 12:00:00,18.4,"x ""q"", y"',
        "2025-06-01 18:00:00,-3,",
    ]


def test_lines_of_the_text_are_rows_of_the_sheet():
    text = lines(workbook(Data={3: [None, "Garden"], 5: ["time", "t"], 6: [(DAY, DATE), 1.5]}))
    assert [bool(line.strip(",")) for line in text] == [False, False, True, False, True, True]


def test_a_column_of_days_has_no_clock_and_a_column_of_clocks_no_day():
    rows = {1: ["day", "clock", "both"]}
    rows |= {2 + i: [(DAY + i, DATE), (0.25 + i / 4, CLOCK), (DAY + i / 2, DATE_TIME)] for i in range(2)}
    assert lines(workbook(Data=rows)) == [
        "day,clock,both", "2025-06-01,06:00:00,2025-06-01 00:00:00", "2025-06-02,12:00:00,2025-06-01 12:00:00"
    ]  # fmt: skip


@pytest.mark.parametrize("decimals", [5, 6, 7])
def test_few_decimals_of_a_day_are_the_second_that_was_meant(decimals):
    rows = {1: ["time", "day", "clock"]}
    rows |= {
        2 + k: [
            (round(DAY + k / 24, decimals), DATE_TIME),
            (DAY + k // 24, DATE),
            (round(k % 24 / 24, decimals), CLOCK),
        ]
        for k in range(30)
    }
    expected = [
        f"2025-06-0{1 + k // 24} {k % 24:02d}:00:00,2025-06-0{1 + k // 24},{k % 24:02d}:00:00" for k in range(30)
    ]
    assert lines(workbook(Data=rows))[1:] == expected


def test_a_clock_just_before_midnight_is_the_end_of_its_day(tmp_path):
    rows = {1: ["day", "clock", "t"], 2: [(DAY, DATE), (0.999999, CLOCK), 1.5], 3: [(DAY, DATE), (0.95833, CLOCK), 2.5]}
    batch = read(tmp_path, workbook(Data=rows), time={"columns": ["day", "clock"]})
    assert [f"{at:%d %H:%M:%S}" for at in batch.readings["observed_at"]] == ["02 00:00:00", "01 23:00:00"]


def test_times_that_share_their_seconds_are_left_as_they_are():
    rows = {1: ["time"]} | {2 + k: [(DAY + k / 10 / 86400, DATE_TIME)] for k in range(40)}
    assert lines(workbook(Data=rows))[2:4] == ["2025-06-01 00:00:00.100", "2025-06-01 00:00:00.200"]


def test_a_count_of_days_in_a_cell_of_text_says_what_to_do(tmp_path):
    for name, written in (("a.xlsx", workbook(Data={1: ["time", "t"], 2: [45231.5, 1], 3: ["45231.541667", 2]})),
                          ("a.csv", b"time,t\n45231.5,1\n45231.541667,2\n")):  # fmt: skip
        batch = read(tmp_path, written, name=name, files=name)
        ending = ": give the column a format of date and time there, and save the file again"
        assert [reason for *_, reason in batch.problems.rows()] == [
            f"no time in the form ISO 8601; as a spreadsheet counts days, {count} is 2023-11-01 {clock}{ending}"
            for count, clock in (("45231.5", "12:00:00"), ("45231.541667", "13:00:00"))
        ]


def test_a_sheet_is_read_as_any_layout(tmp_path):
    rows = {2: ["Garden north"], 4: ["time", "t", "t"], 5: ["UTC", "C", "mm"], 6: [(DAY + 1 / 24, DATE_TIME), "18.4 C", 0.2],
            7: [(DAY + 2 / 24, DATE_TIME), "warm", 0]}  # fmt: skip
    settings = {
        "lines_before_header": 3,
        "lines_after_header": 1,
        "columns": {AIR: {"column": 2, "strip": "C"}, RAIN: 3},
    }
    batch = read(tmp_path, workbook(About={1: ["x"]}, Data=rows), sheet="Data", **settings)
    assert batch.readings["observed_at"].dt.hour().to_list() == [1, 2]
    assert batch.readings.select(AIR, RAIN).rows() == [(18.4, 0.2), (None, 0.0)]
    assert batch.bad_values.rows() == [(1, "column 2", "warm", "no finite number")]
    assert read(tmp_path, workbook(Data=rows), sheet=1, separator=";", **settings).readings.equals(batch.readings)


def test_a_sheet_that_is_not_there_names_those_that_are():
    both = workbook(About={1: ["x"]}, Data={1: ["y"]})
    assert [lines(both), lines(both, 2), lines(both, "Data")] == [["x"], ["y"], ["y"]]
    for sheet in ("Dat", 3):
        with pytest.raises(SourceError, match=rf"^a.xlsx has no sheet {sheet!r}; it has: About, Data$"):
            lines(both, sheet)


def test_a_csv_has_no_sheets(tmp_path):
    with pytest.raises(SourceError, match=r"a.csv is no .xlsx file, so it has no sheet 'Data': leave sheet out"):
        read(tmp_path, b"time,t\n", name="a.csv", sheet="Data")


def test_what_is_no_workbook_is_one_line(monkeypatch):
    whole = workbook(Data={1: ["x"]})
    with pytest.raises(UnfinishedFileError, match=r"a.xlsx is a damaged or incomplete .xlsx file"):
        lines(whole[:-30])
    other = BytesIO()
    with ZipFile(other, "w") as archive:
        archive.writestr("a.csv", "time,t\n")
    with pytest.raises(SourceError, match=r"a.xlsx is an archive, but no .xlsx file: unpack it"):
        lines(other.getvalue())
    with ZipFile(other, "w") as archive:
        archive.writestr("xl/workbook.xml", "<nonsense/>")
    with pytest.raises(SourceError, match=r"a.xlsx is a damaged .xlsx file: "):
        lines(other.getvalue())
    monkeypatch.setattr(sheets, "_MAX_UNPACKED_BYTES", 100)
    with pytest.raises(SourceError, match=r"unpacks to .* bytes, and at most 100 are read .*: save it as CSV"):
        lines(whole)


def test_an_old_excel_file_is_named_as_what_it_is():
    with pytest.raises(SourceError, match=r"a\.xls is an old Excel file \(\.xls\): save it as \.xlsx or as CSV"):
        as_text(BytesIO(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600), "a.xls", None, ",")


@pytest.mark.parametrize("midnight", [1.0, 1.0000001, 0.9999999])
def test_hour_24_of_a_day_is_the_midnight_that_ends_it(tmp_path, midnight):
    clocks = [(hour / 24, HOURS) for hour in (22, 23)] + [(midnight, HOURS), (1 / 24, HOURS)]
    days = [DAY, DAY, DAY, DAY + 1]
    rows = {1: ["day", "clock", "t"]}
    rows |= {2 + i: [(day, DATE), clock, float(i)] for i, (day, clock) in enumerate(zip(days, clocks, strict=True))}
    assert lines(workbook(Data=rows))[3] == "2025-06-01,24:00:00,2"
    batch = read(tmp_path, workbook(Data=rows), time={"columns": ["day", "clock"]})
    assert batch.problems.is_empty()
    assert batch.readings["observed_at"].dt.strftime("%d %H").to_list() == ["01 22", "01 23", "02 00", "02 01"]


def test_a_date_of_1900_is_one_where_there_is_no_clock():
    assert lines(workbook(Data={1: ["day"], 2: [(1, DATE)], 3: [(2, DATE)]}))[1:] == ["1900-01-01", "1900-01-02"]


@pytest.mark.parametrize(
    ("style", "is_read"), [(DATE_TIME, True), (OWN_DATE_TIME, True), (DATE, False), (OWN_DATE, False)]
)
def test_midnights_are_times_where_they_are_shown_with_a_clock(tmp_path, style, is_read):
    rows = {3: ["remark", "time", "t"]} | {4 + i: [None, (DAY + i, style), float(i)] for i in range(3)}
    other = {1: ["time"], 2: [(DAY, DATE)]}
    batch = read(tmp_path, workbook(Other=other, Data=rows), sheet="Data", lines_before_header=2)
    assert batch.readings["observed_at"].null_count() == (0 if is_read else 3)
    assert all("a day without a clock" in reason for reason in batch.problems["reason"])


def test_a_day_beside_a_stamp_stays_a_day():
    rows = {1: ["a", "b", "c"]} | {2 + i: [(DAY + i, DATE), (DAY + i, DATE_TIME), (DAY + i, DATE)] for i in range(2)}
    assert lines(workbook(Data=rows))[1] == "2025-06-01,2025-06-01 00:00:00,2025-06-01"


def test_numbers_that_are_shown_in_percent_are_percent():
    rows = {
        2: [None, "time", "t", "rh", "share"],
        3: [None, (DAY + 0.5, DATE_TIME), 18.4, (0.65, PERCENT), (0.07, OWN_PERCENT)],
        4: [None, (DAY + 0.75, DATE_TIME), (0.5, OWN_DATE), 66, (1, PERCENT)],
        5: [None, (DAY + 1, DATE_TIME), None, "0.6", None],
        6: [None, (DAY + 1.25, DATE_TIME), None, None, (1e-3, PERCENT)],
    }
    text = [line.split(",", 1)[1] if line.count(",") > 3 else line for line in lines(workbook(Data=rows))]
    assert [line.split(",")[-2:] for line in text[1:]] == [
        ["rh", "share"],
        ["65", "7"],
        ["66", "100"],
        ["0.6", ""],
        ["", "0.1"],
    ]


def test_a_percent_sign_in_quotes_is_no_percentage():
    rows = {1: ["time", "rh"], 2: [(DAY + 0.5, DATE_TIME), (0.65, QUOTED_PERCENT)]}
    assert lines(workbook(Data=rows))[1].endswith(",0.65")


def test_humidity_shown_in_percent_beside_numbers(tmp_path):
    rows = {1: ["time", "rh"], 2: [(DAY, DATE_TIME), (0.65, PERCENT)], 3: [(DAY + 0.5, DATE_TIME), 70]}
    batch = read(tmp_path, workbook(Data=rows), columns={"relative_humidity_pct": "rh"})
    assert batch.readings["relative_humidity_pct"].to_list() == [65, 70]


@pytest.mark.parametrize("thousands", [{}, {"thousands": "."}])
def test_numbers_beside_text_with_a_decimal_comma(tmp_path, thousands):
    cells = [1.013, "1,013", "12,5", 12.5, 13]
    rows = {1: ["time", "t"], **{at + 2: [(DAY + at / 24, DATE_TIME), cell] for at, cell in enumerate(cells)}}
    batch = read(tmp_path, workbook(Data=rows), decimal=",", **thousands)
    assert batch.readings[AIR].to_list() == [1.013, 1.013, 12.5, 12.5, 13]
    assert batch.bad_values.is_empty()


def test_text_with_thousands_stays_text(tmp_path):
    rows = {1: ["time", "t"], 2: [(DAY, DATE_TIME), "1.013"], 3: [(DAY + 0.5, DATE_TIME), 1.013]}
    batch = read(tmp_path, workbook(Data=rows), decimal=",", thousands=".")
    assert batch.readings[AIR].to_list() == [1013, 1.013]


def test_a_decimal_comma_in_text_alone_is_refused_with_the_way_out(tmp_path):
    rows = {1: ["time", "t"], 2: [(DAY, DATE_TIME), "12,5"], 3: [(DAY + 0.5, DATE_TIME), 13.5]}
    batch = read(tmp_path, workbook(Data=rows))
    assert batch.readings[AIR].to_list() == [None, 13.5]
    assert batch.bad_values["reason"].to_list() == ['no finite number: set decimal = ","']


def test_days_that_a_column_without_a_format_counts_are_refused_with_what_they_are(tmp_path):
    rows = {1: ["time", "t"], 2: [DAY + 0.25, 12], 3: [(DAY + 0.5, DATE_TIME), 13]}
    for settings in ({}, {"decimal": ","}):
        batch = read(tmp_path, workbook(Data=rows), **settings)
        assert batch.readings["observed_at"].to_list() == [None, datetime(2025, 6, 1, 12, tzinfo=UTC)]
        assert "is 2025-06-01 06:00:00: give the column a format of date and time" in batch.problems["reason"][0]


def test_dates_beside_text_are_refused_because_days_may_be_months(tmp_path):
    rows = {1: ["time", "t"], 2: ["13/05/2025 06:00", 12], 3: [(DAY + 0.25, DATE_TIME), 13]}
    batch = read(tmp_path, workbook(Data=rows), time={"column": "time", "format": "%d/%m/%Y %H:%M"})
    assert batch.readings["observed_at"].to_list() == [datetime(2025, 5, 13, 6, tzinfo=UTC), None]
    assert "it has taken days for months in some" in batch.problems["reason"][0]


def test_a_formula_over_several_lines(tmp_path):
    file = BytesIO()
    with ZipFile(BytesIO(workbook(Data={1: ["rh"], 2: [(0.65, PERCENT)]}))) as archive, ZipFile(file, "w") as other:
        for name in archive.namelist():
            other.writestr(name, archive.read(name).replace(b"<v>0.65", b"<f>1 -\n0.35</f><v>0.65"))
    assert lines(file.getvalue()) == ["rh", "65"]


def test_cells_that_do_not_say_where_they_stand(tmp_path):
    rows = {1: ["time", "rh"], 2: [(DAY, DATE_TIME), (0.65, PERCENT)]}
    file = BytesIO()
    with ZipFile(BytesIO(workbook(Data=rows))) as archive, ZipFile(file, "w") as bare:
        for name in archive.namelist():
            bare.writestr(name, re.sub(rb' r="[A-Z]\d+"', b"", archive.read(name)))
    with pytest.raises(SourceError, match="do not say where they stand"):
        lines(file.getvalue())


def test_columns_beyond_z(tmp_path):
    names = [f"c{number}" for number in range(60)]
    rows = {1: ["time", *names], 2: [(DAY, DATE_TIME), *((number / 100, PERCENT) for number in range(60))]}
    assert lines(workbook(Data=rows))[1].split(",")[1:] == [str(number) for number in range(60)]


def test_sources_of_sheets_are_read_anew_because_their_numbers_are_others_now(tmp_path):
    def version(files):
        given = {"name": "a", "files": files, "station": {"constant": "roof"}, "time": "time", "columns": {AIR: "t"}}
        mapping = CsvSource.model_validate(given, context={"folder": tmp_path}).mapping(BUILT_IN)
        return json.loads(mapping)["version"]

    assert version("in/*.csv") == version(["in/*.txt", "in/*.CSV.gz"]) == 1
    assert version("in/*.xlsx") == version(["in/*.csv", "in/*"]) == 2
