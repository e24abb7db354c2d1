"""Sheets of spreadsheet files (.xlsx) as the text of a CSV file: `as_text` stands between an opened file and its reader.

Line 12 of the text is row 12 of the sheet. Numbers have a decimal point whatever the spreadsheet shows; times are ISO 8601, a day
alone where a whole column has no clock, a clock alone where it has no day. They are rounded to seconds: a spreadsheet counts in
days, and few decimals of a day are a part of a second before or past the hour.
"""

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
_WORKBOOK = "xl/workbook.xml"
_MAX_UNPACKED_BYTES = 512 * 2**20


def as_text(stream: BinaryIO, origin: str, sheet: str | int | None, separator: str) -> BinaryIO:
    """The stream itself, or if it is an .xlsx file, a sheet of it as separated values in UTF-8.

    `sheet` is a name, or a number from 1; None means the first. Raises SourceError naming `origin` for a file that is too large
    or damaged and for a sheet that is not there, UnfinishedFileError for a file that ends too early.
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
    cells = _read_cells(stream.read(), origin, sheet)
    return BytesIO(
        cells.select(_as_written(column) for column in cells)
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


def _read_cells(content: bytes, origin: str, sheet: str | int | None) -> pl.DataFrame:
    """The cells of a sheet as text, from its first row on."""
    import fastexcel  # noqa: PLC0415 only where there is a spreadsheet

    try:
        book: Any = fastexcel.read_excel(content)
        names = book.sheet_names
        found = names[0] if sheet is None and names else sheet
        if isinstance(found, int):
            found = names[found - 1] if found <= len(names) else None
        if found not in names:
            raise SourceError(f"{origin} has no sheet {sheet!r}; it has: {listed(names)}")
        return book.load_sheet(found, header_row=None, skip_rows=0, dtypes="string").to_polars()
    except fastexcel.FastExcelError as error:
        raise SourceError(f"{origin} is a damaged .xlsx file: {str(error).splitlines()[0][:120]}") from None


def _as_written(column: pl.Series) -> pl.Expr:
    """The text of a column as a CSV has it: no midnight where every time is one, and no day 0 before a clock."""
    column = _to_seconds(column.str.replace(r"^1899-12-3[01] (\d\d:\d\d:\d\d)", "${1}"))
    text = pl.lit(column)
    times = column.filter(column.str.contains(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d").fill_null(value=False))
    if len(times) and times.str.ends_with(" 00:00:00").all():
        text = text.str.replace(r"^(\d{4}-\d\d-\d\d) 00:00:00$", "${1}")
    return text


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
