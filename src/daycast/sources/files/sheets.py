"""Sheets of spreadsheet files (.xlsx) as the text of a CSV file: `as_text` stands between an opened file and its reader.

Line 12 of the text is row 12 of the sheet. Numbers have the decimal mark that the settings say, whatever the spreadsheet shows;
those that it shows in percent are percent. Times are ISO 8601, a day alone where a whole column shows no clock, a clock alone
where it has no day. They are rounded to seconds: a spreadsheet counts in days, and few decimals of a day are a part of a second
before or past the hour.
"""

import re
from collections.abc import Callable, Collection, Mapping
from functools import partial
from io import SEEK_END, BytesIO
from typing import Any, BinaryIO
from zipfile import BadZipFile, ZipFile

import polars as pl

from daycast.errors import SourceError, listed
from daycast.sources.files.inbox import UnfinishedFileError
from daycast.sources.streams import MAX_IN_MEMORY_BYTES

_ZIP = b"PK\x03\x04"
_OLD_EXCEL = b"\xd0\xcf\x11\xe0"
_FRACTION = r"^(?:\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d\.\d+$"
_DAY_0 = r"^1899-12-3[01] (\d\d:\d\d:\d\d)"
_WORKBOOK, _RELATIONS, _STYLES = "xl/workbook.xml", "xl/_rels/workbook.xml.rels", "xl/styles.xml"
_NUMBER = r"^(-?\d+)\.(\d+(?:[eE][-+]?\d+)?)$"
_PERCENTAGES = {9, 10}  # the number formats 0% and 0.00%, which every spreadsheet knows
_DAY_AND_CLOCK = 22  # the number format m/d/yy h:mm, which every spreadsheet knows
_DECIMALS = 9  # differences of floats have dust behind these
_MAX_UNPACKED_BYTES = 512 * 2**20


def as_text(stream: BinaryIO, origin: str, sheet: str | int | None, separator: str, decimal: str = ".") -> BinaryIO:
    """The stream itself, or if it is an .xlsx file, a sheet of it as separated values in UTF-8.

    `sheet` is a name, or a number from 1; None means the first. `decimal` is the mark in numbers; text stays as it is.
    Raises SourceError naming `origin` for a file that is too large or damaged and for a sheet that is not there,
    UnfinishedFileError for a file that ends too early.
    """
    stream.seek(0)
    beginning = stream.read(len(_ZIP))
    if beginning == _OLD_EXCEL:
        raise SourceError(f"{origin} is an old Excel file (.xls): save it as .xlsx or as CSV")
    if beginning != _ZIP:
        if sheet is not None:
            raise SourceError(f"{origin} is no .xlsx file, so it has no sheet {sheet!r}: leave sheet out")
        return stream
    _validate_archive(stream, origin)
    stream.seek(0)
    content = stream.read()
    cells, place = _read_cells(content, origin, sheet)
    cells = _with_numbers_as_shown(cells, content, place, decimal, origin)
    return BytesIO(
        cells.select(_as_written(cells, at, partial(_shows_stamp, content, place)) for at in range(cells.width))
        .write_csv(include_header=False, separator=separator)
        .encode()
    )


def _validate_archive(stream: BinaryIO, origin: str) -> None:
    size = stream.seek(0, SEEK_END)
    try:
        entries = {entry.filename: entry.file_size for entry in ZipFile(stream).infolist()}
    except BadZipFile:
        raise UnfinishedFileError(f"{origin} is a damaged or incomplete .xlsx file") from None
    if _WORKBOOK not in entries:
        raise SourceError(f"{origin} is an archive, but no .xlsx file: unpack it, files in archives are not read")
    if size > MAX_IN_MEMORY_BYTES or sum(entries.values()) > _MAX_UNPACKED_BYTES:
        raise SourceError(
            f"{origin} unpacks to {sum(entries.values()):,} bytes, and at most {_MAX_UNPACKED_BYTES:,} are read of an .xlsx "
            "file: save it as CSV"
        )


def _read_cells(content: bytes, origin: str, sheet: str | int | None) -> tuple[pl.DataFrame, int]:
    """The cells of a sheet as text, from its first row on, and the place of the sheet in the file, from 0."""
    import fastexcel  # noqa: PLC0415 only where there is a spreadsheet

    try:
        book: Any = fastexcel.read_excel(content)
        names = book.sheet_names
        found = names[0] if sheet is None and names else sheet
        if isinstance(found, int):
            found = names[found - 1] if found <= len(names) else None
        if found not in names:
            raise SourceError(f"{origin} has no sheet {sheet!r}; it has: {listed(names)}")
        cells = book.load_sheet(found, header_row=None, skip_rows=0, dtypes="string").to_polars()
        return cells, names.index(found)
    except fastexcel.FastExcelError as error:
        raise SourceError(f"{origin} is a damaged .xlsx file: {str(error).splitlines()[0][:120]}") from None


def _as_written(cells: pl.DataFrame, at: int, shows_stamp: Callable[[int, int], bool]) -> pl.Expr:
    """The text of a column as a CSV has it: no midnight where only days are shown, and no day 0 before a clock.

    `shows_stamp` says whether a cell shows a day with a clock: that of a row, from 1, with so many filled cells before it.
    A clock of 24 hours is the midnight after day 0.
    """
    is_clock = cells[:, at].str.contains(_DAY_0).fill_null(value=False)
    column = _to_seconds(cells[:, at].str.replace(_DAY_0, "${1}"))
    if is_clock.any():
        column = column.str.replace(r"^1900-01-01 00:00:00$", "24:00:00")
    text = pl.lit(column)
    is_time = column.str.contains(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d").fill_null(value=False)
    if is_time.any() and column.filter(is_time).str.ends_with(" 00:00:00").all():
        row = int(is_time.arg_true()[0])
        if not shows_stamp(row + 1, sum(cell is not None for cell in cells.row(row)[:at])):
            text = text.str.replace(r"^(\d{4}-\d\d-\d\d) 00:00:00$", "${1}")
    return text


def _with_numbers_as_shown(cells: pl.DataFrame, content: bytes, place: int, decimal: str, origin: str) -> pl.DataFrame:
    """The cells, numbers shown in percent times 100, and with this decimal mark in all numbers.

    Raises SourceError naming `origin` if that is due and the file does not say where its cells stand.
    """
    percentages = _styles(_part(content, _STYLES), _PERCENTAGES, lambda code: b"%" in code)
    if not percentages and decimal == ".":
        return cells
    filled = _filled_cells(_sheet(content, place))
    if filled["column"].null_count():
        raise SourceError(f"{origin}: the cells of the sheet do not say where they stand: open it and save it again")
    first = filled["column"].min()
    numbers = filled.filter(pl.col("type").is_in(["", "n"])).with_columns(
        column=pl.col("column") - first, is_percent=pl.col("style").is_in(list(percentages))
    )
    for (at,), found in numbers.filter((decimal != ".") | pl.col("is_percent")).group_by("column"):
        if int(at) < cells.width:
            name = cells.columns[int(at)]
            cells = cells.with_columns(_as_shown(cells[name], found.filter(pl.col("row") < cells.height), decimal))
    return cells


def _as_shown(column: pl.Series, numbers: pl.DataFrame, decimal: str) -> pl.Series:
    """The column with its `numbers` (row, is_percent) as they are shown."""
    text = column.gather(numbers["row"])
    percent = (text.cast(pl.Float64, strict=False) * 100).round(_DECIMALS).cast(pl.String).str.strip_suffix(".0")
    text = text.zip_with(~numbers["is_percent"] | percent.is_null(), percent)
    return column.scatter(numbers["row"], text.str.replace(_NUMBER, f"${{1}}{decimal}${{2}}"))


def _filled_cells(sheet: bytes) -> pl.DataFrame:
    """row, column (from 0; null if not told), style and type of each cell that has a content."""
    pieces = pl.Series("cell", [sheet.decode(errors="replace")]).str.replace_all(r"<\w+:c ", "<c ").str.split("<c ")
    cells = pieces.explode()[1:].to_frame().filter(pl.col("cell").str.contains(r"(?s)^[^>]*[^/]>.*?(?:v|is)>"))
    attributes = pl.col("cell").str.extract(r"^([^>]*)>")
    place, letters = attributes.str.extract_groups(r'\br="([A-Z]{1,3})(\d+)"'), pl.lit(0)
    for at in range(3):
        letter = place.struct[0].str.slice(at, 1)
        code = letter.cast(pl.Binary).bin.reinterpret(dtype=pl.UInt8).cast(pl.Int64) - (ord("A") - 1)
        letters = pl.when(letter == "").then(letters).otherwise(letters * 26 + code)
    return cells.select(
        row=place.struct[1].cast(pl.Int64) - 1,
        column=letters - 1,
        style=attributes.str.extract(r'\bs="(\d+)"').cast(pl.Int64).fill_null(0),
        type=attributes.str.extract(r'\bt="(\w+)"').fill_null(""),
    )


def _part(content: bytes, path: str) -> bytes:
    """A file in the archive; empty if it has none there."""
    with ZipFile(BytesIO(content)) as archive:
        return archive.read(path) if path in archive.namelist() else b""


def _sheet(content: bytes, place: int) -> bytes:
    """The sheet at this place, as it is in the archive."""
    return _part(content, _path_of_sheet({name: _part(content, name) for name in (_WORKBOOK, _RELATIONS)}, place))


def _shows_stamp(content: bytes, place: int, row: int, before: int) -> bool:
    """Whether a cell of the sheet at this place is formatted as a day with a clock."""
    sheet, row_of = _sheet(content, place), rb'<(?:\w+:)?row [^>]*?\br="%d"[^>]*>(.*?)</(?:\w+:)?row>' % row
    found = re.search(row_of, sheet, re.DOTALL)
    cells = re.findall(rb"<(?:\w+:)?c ([^>]*[^>/])>", found[1]) if found else []
    style = re.search(rb'\bs="(\d+)"', cells[before]) if before < len(cells) else None
    shows = lambda code: b"h" in code and b"d" in code  # noqa: E731
    return style is not None and int(style[1]) in _styles(_part(content, _STYLES), {_DAY_AND_CLOCK}, shows)


def _path_of_sheet(parts: Mapping[str, bytes], place: int) -> str:
    """Where in the archive a sheet is; empty if nothing tells."""
    named = re.findall(rb'<(?:\w+:)?sheet [^>]*?\w+:id="([^"]+)"', parts[_WORKBOOK])
    links = re.findall(rb"<(?:\w+:)?Relationship [^>]*>", parts.get(_RELATIONS, b""))
    link = next((one for one in links if place < len(named) and b'Id="%b"' % named[place] in one), b"")
    target = re.search(rb'Target="/?(?:xl/)?([^"]+)"', link)
    return f"xl/{target[1].decode()}" if target else ""


def _styles(styles: bytes, known: Collection[int], is_one: Callable[[bytes], bool]) -> set[int]:
    """The cell styles whose number format is `known`, or one of the file itself whose code, without quoted text, `is_one`."""
    codes = re.findall(rb'numFmtId="(\d+)" formatCode="([^"]*)"', styles)
    plain = {int(number): re.sub(rb"&quot;.*?&quot;|\\.|\[[^\]]*\]", b"", code).lower() for number, code in codes}
    wanted = {*known, *(number for number, code in plain.items() if is_one(code))}
    formats = re.search(rb"<(?:\w+:)?cellXfs.*?</(?:\w+:)?cellXfs>", styles, re.DOTALL)
    used = re.findall(rb'<(?:\w+:)?xf [^>]*?numFmtId="(\d+)"', formats[0]) if formats else []
    return {style for style, number in enumerate(used) if int(number) in wanted}


def _to_seconds(column: pl.Series) -> pl.Series:
    """The column with its times rounded to seconds, unless most of them share a second with another: these are fractions.

    A clock alone that is rounded up to midnight is 24:00:00, because its day stands elsewhere.
    """
    where = column.str.contains(_FRACTION).fill_null(value=False).arg_true()
    if where.is_empty():
        return column
    written = column.gather(where)
    is_clock = written.str.len_chars() < len("2000-01-01 00:00:00")
    stamps = written.zip_with(~is_clock, "1970-01-01 " + written).str.to_datetime(
        "%Y-%m-%d %H:%M:%S%.f", time_unit="us"
    )
    rounded = stamps.dt.round("1s").dt.strftime("%Y-%m-%d %H:%M:%S")
    clocks = rounded.str.replace("1970-01-02 00", "1970-01-01 24", literal=True).str.strip_prefix("1970-01-01 ")
    rounded = rounded.zip_with(~is_clock, clocks)
    if 2 * rounded.n_unique() < written.n_unique():
        return column
    return column.scatter(where, rounded)
