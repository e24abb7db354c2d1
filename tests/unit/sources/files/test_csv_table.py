import gzip
import io
import tracemalloc

import pytest

from daycast.errors import SourceError
from daycast.sources import streams
from daycast.sources.files import csv_table
from daycast.sources.files.csv_table import extra_columns, parse_table, read_chunks, survey_text
from daycast.sources.files.layout import Layout


def parse(content: bytes, needed: tuple[str, ...] = (), separator: str = ","):
    return parse_table(content, separator, needed, "a.csv")


def test_every_cell_is_a_string_as_it_came():
    table = parse(b"time,t\n 1 ,007\n2,\n")
    assert table.rows() == [(" 1 ", "007"), ("2", None)]


def test_gzip_is_known_by_its_content():
    assert parse(gzip.compress(b"a\n1\n")).rows() == [("1",)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16"])
def test_names_survive_any_usual_encoding(encoding):
    table = parse("T [°C],b\n1,2\n".encode(encoding))
    assert table.columns == ["T [°C]", "b"]


def test_lines_may_end_as_on_any_system():
    for end in (b"\n", b"\r\n", b"\r"):
        assert parse(b"a,b" + end + b"1,2" + end).to_dict(as_series=False) == {"a": ["1"], "b": ["2"]}


def test_names_are_stripped_and_a_repeated_one_keeps_its_values():
    assert parse(b"a, b,a\n1,2,3\n").to_dict(as_series=False) == {"a": ["1"], "b": ["2"], "a (3)": ["3"]}


def test_a_short_row_ends_in_nulls_and_a_blank_line_is_none():
    assert parse(b"a,b,c\n1\n\n4,5,6\n").rows() == [("1", None, None), ("4", "5", "6")]


def test_a_long_row_keeps_all_of_its_fields():
    table = parse(b"a,b\n1,2\n3,4,5,6,7\n")
    assert extra_columns(table) == table.columns[2:]
    assert table.rows() == [("1", "2", None, None, None), ("3", "4", "5", "6", "7")]


def test_a_separator_at_the_end_of_lines_is_no_field():
    assert parse(b"a,b\n1,2,\n3,4,\n").columns == ["a", "b"]


def test_a_header_alone_is_a_table_without_rows():
    assert parse(b"a,b\n").shape == (0, 2)
    assert parse(b"a,b").shape == (0, 2)


def test_a_quoted_separator_is_text():
    assert parse(b'a,b\n"1,5",2\n').rows() == [("1,5", "2")]


@pytest.mark.parametrize(
    ("content", "ends"),
    [
        (b"a\n1", True),
        (b"a\n1\n", False),
        (b"a\r1\r", False),
        ("a\n1\n".encode("utf-16-le"), False),
        ("a\n1\n".encode("utf-16-be"), False),
        ("a\n1".encode("utf-16-le"), True),
        (gzip.compress(b"a\n1"), False),  # gzip knows its own end
    ],
)
def test_text_without_a_line_break_at_its_end_ends_mid_line(content, ends):
    assert survey_text(io.BytesIO(content), "a.csv", "utf-16-le" if b"\x00" in content else None).ends_mid_line is ends


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "a.csv is empty"),
        (b" \n\n", "a.csv is empty"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "a.csv is not text .*PNG"),
        (gzip.compress(b"a,b\n" * 100)[:-9], "a.csv is a damaged or incomplete gzip"),
        (b"\x1f\x8bnonsense", "a.csv is a damaged or incomplete gzip"),
        (b'time,TEMP\n1,2\n3,"4\n5,6\n', "a.csv line 3: a quotation mark is out of place or never closed"),
        (b"time,temp\n1,2\n", r"a.csv has no column 'TEMP' \(did you mean 'temp'\?\); it has: time, temp$"),
        (b"time;TEMP\n1;2\n", "has no column 'TEMP'.*line 1 has them: set separator = \";\""),
        (b"TEMP,TEMP\n1,2\n", "a.csv has more than one column 'TEMP'"),
    ],
)
def test_what_is_no_such_table_is_refused_in_one_short_line(content, message):
    with pytest.raises(SourceError, match=message) as caught:
        parse(content, needed=("TEMP",))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_a_header_of_a_thousand_names_is_not_printed_in_full():
    header = ",".join(f"column_{index}" for index in range(1000)).encode()
    with pytest.raises(SourceError) as caught:
        parse(header + b"\n", needed=tuple(f"wanted {index}" for index in range(30)))
    assert "and 26 more" in str(caught.value)
    assert len(str(caught.value)) < 400


def pieces_of(content: bytes, needed: tuple[str, ...] = ()):
    stream = io.BytesIO(content)
    return list(read_chunks(stream, survey_text(stream, "a.csv"), Layout(), needed, "a.csv"))


def test_a_few_kilobytes_of_gzip_that_unpack_to_one_endless_line_are_refused_and_take_no_memory():
    packed = gzip.compress(b"1" * 100 * 2**20)
    tracemalloc.start()
    with pytest.raises(SourceError, match=r"^a\.csv has a line of more than 1,048,576 bytes, the limit"):
        parse(packed)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * 2**20


def test_gzip_that_unpacks_to_more_than_is_ever_read_is_refused(monkeypatch):
    monkeypatch.setattr(streams.limited, "__defaults__", (10_000,))
    with pytest.raises(SourceError, match=r"^a\.csv holds more than 10,000 bytes"):
        parse(gzip.compress(b"a,b\n" + b"1,2\n" * 10_000))


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("rows", [1, 9, 10, 11, 100])
def test_a_large_text_is_read_in_batches_that_are_all_of_it(monkeypatch, rows, pack):
    monkeypatch.setattr(csv_table, "_MAX_ROWS", 10)
    lines = [f"{row},{row % 7}" for row in range(rows)]
    chunks = pieces_of(pack("\n".join(["a,b", *lines, ""]).encode()))
    assert [row for chunk in chunks for row in chunk.table.rows()] == [tuple(line.split(",")) for line in lines]
    assert [chunk.last for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert len(chunks) == max(-(-rows // 10), 1)


def test_a_wide_table_is_read_in_batches_of_fewer_rows(monkeypatch):
    monkeypatch.setattr(csv_table, "_MAX_CELLS", 50)
    assert [chunk.table.height for chunk in pieces_of(b"a,b,c,d\n" + b"1\n" * 25)] == [10, 10, 5]


def test_a_field_that_goes_on_over_lines_is_not_cut(monkeypatch):
    monkeypatch.setattr(csv_table, "_MAX_ROWS", 3)
    chunks = pieces_of(b'a,b\n1,2\n3,4\n5,"x\ny\nz"\n7,8\n')
    assert [row for chunk in chunks for row in chunk.table.rows()] == [
        ("1", "2"),
        ("3", "4"),
        ("5", "x\ny\nz"),
        ("7", "8"),
    ]


def test_an_error_in_a_later_batch_names_its_line_in_the_file(monkeypatch):
    monkeypatch.setattr(csv_table, "_MAX_ROWS", 10)
    with pytest.raises(SourceError, match=r"^a\.csv line 26: a quotation mark is out of place or never closed"):
        pieces_of(b"\na,b\n" + b"1,2\n" * 23 + b'3,"4\n5,6\n')


def test_a_header_of_more_columns_than_any_table_has_is_refused():
    with pytest.raises(SourceError, match=r"^a\.csv has 30,000 columns, and at most 20,000 are read"):
        parse(b"a," * 29_999 + b"a\n")


def test_a_column_that_is_not_found_in_text_that_is_no_utf8_names_the_setting():
    with pytest.raises(
        SourceError, match=r"read as utf-8, and in another encoding it has them: set encoding = \"cp1251\"$"
    ):
        parse("Время,t\n1,2\n".encode("cp1251"), needed=("Время",))
    with pytest.raises(SourceError, match=r"in another encoding it has them: set encoding = \"shift_jis\"$"):
        parse("時刻,気温\n1,2\n".encode("shift_jis"), needed=("気温",))
    with pytest.raises(SourceError, match=r"was read as utf-8: set encoding if it is another, such as \"cp1251\"$"):
        parse("Время,t\n1,2\n".encode("cp1251"), needed=("station",))
    with pytest.raises(SourceError, match=r"Then set encoding = 'utf-16-le'"):
        parse("Zeit,t\n1,2\n".encode("utf-16-le"))
    with pytest.raises(SourceError, match=r"it has: ä, c$"):
        parse("ä,c\n1,2\n".encode(), needed=("b",))
