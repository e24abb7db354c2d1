import gzip
import io

import pytest

from daycast.errors import SourceError
from daycast.sources.tables.csv_file import beyond_columns, parse_table, survey


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
    assert beyond_columns(table) == table.columns[2:]
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
    assert survey(io.BytesIO(content), "a.csv", "utf-16-le" if b"\x00" in content else None).ends_mid_line is ends


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "a.csv is empty"),
        (b" \n\n", "a.csv is empty"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "a.csv is no text .*PNG"),
        (gzip.compress(b"a,b\n" * 100)[:-9], "a.csv is a damaged or incomplete gzip"),
        (b"\x1f\x8bnonsense", "a.csv is a damaged or incomplete gzip"),
        (b'time,TEMP\n1,2\n3,"4\n5,6\n', "a.csv line 3: a quotation mark is out of place or never closed"),
        (b"time,temp\n1,2\n", r"a.csv has no column 'TEMP' \(did you mean 'temp'\?\); it has: time, temp$"),
        (b"time;TEMP\n1;2\n", "has no column 'TEMP'.*is the separator right"),
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
