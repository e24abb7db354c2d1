"""Bytes and text from outside: size limits, gzip, whole lines, encodings."""

import gzip
import io
import tracemalloc

import pytest
from pydantic import TypeAdapter, ValidationError

from daycast.errors import SourceError
from daycast.sources import streams
from daycast.sources.streams import (
    DamagedError,
    Encoding,
    EncodingDetector,
    as_utf8,
    bom_encoding,
    decompressed,
    encodings_of,
    limited,
    proposed_encodings,
    read_bytes,
    whole_lines,
)


def in_blocks(content: bytes, size: int) -> list[bytes]:
    return [content[first : first + size] for first in range(0, len(content), size)]


@pytest.mark.parametrize("content", [b"", b"\x1f", b"plain\n", b"a\n" * 3_000_000])
def test_bytes_come_out_of_gzip_and_plain_ones_as_they_are(content):
    assert b"".join(decompressed(io.BytesIO(content))) == content
    assert b"".join(decompressed(io.BytesIO(gzip.compress(content)))) == content


def test_gzip_of_several_members_is_one_text():
    assert b"".join(decompressed(io.BytesIO(gzip.compress(b"a\n") + gzip.compress(b"b\n")))) == b"a\nb\n"


@pytest.mark.parametrize(
    "content", [gzip.compress(b"a\n" * 100)[:-9], b"\x1f\x8bnonsense", gzip.compress(b"a") + b"rest"]
)
def test_damaged_gzip_is_told(content):
    with pytest.raises(DamagedError):
        list(decompressed(io.BytesIO(content)))


def test_what_unpacks_to_more_than_is_read_is_refused_and_takes_no_memory():
    packed = gzip.compress(b" " * 100 * 2**20)
    tracemalloc.start()
    with pytest.raises(SourceError, match=r"^a\.gz holds more than 5,000,000 bytes, the limit: split it"):
        for _ in limited(decompressed(io.BytesIO(packed)), "a.gz", 5_000_000):
            pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * 2**20


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("content", [b"a\nbb\n\nccc", b"a\r\nbb\r\nccc\r\n", b"a\rbb\rccc\r", b"", b"\n\n"])
def test_blocks_are_cut_at_the_ends_of_lines_and_nothing_is_lost(content, size):
    blocks = list(whole_lines(in_blocks(content, size), "a.csv"))
    assert b"".join(blocks) == content
    assert all(block.endswith((b"\n", b"\r")) for block in blocks[:-1])


@pytest.mark.parametrize("around", [b"", b"short\n" * 5])
def test_a_line_longer_than_any_row_is_refused_whatever_stands_around_it(monkeypatch, around):
    monkeypatch.setattr(streams, "MAX_LINE_BYTES", 100)
    for length in (99, 101):
        content = around + b"x" * length + b"\n" + around
        blocks = whole_lines(in_blocks(content, 30), "a.csv")
        if length <= streams.MAX_LINE_BYTES:
            assert b"".join(blocks) == content
        else:
            with pytest.raises(SourceError, match=r"^a\.csv has a line of more than 100 bytes"):
                list(blocks)


def test_an_endless_file_is_refused():
    with pytest.raises(SourceError, match="/dev/zero holds more than 1,000 bytes"):
        read_bytes(streams.Path("/dev/zero"), "/dev/zero", max_bytes=1000)


# encodings


def read_text(content: bytes, encoding: str | None = None) -> str:
    """The text, by the evidence of its lines where no encoding is declared."""
    detector = EncodingDetector()
    for line in content.splitlines(keepends=True):
        detector.add(line)
    chosen = encoding or bom_encoding(content) or detector.encoding
    return b"".join(as_utf8([content[:5], content[5:]], chosen)).decode()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252", "latin-1"])
def test_a_western_text_is_read_whichever_way_it_is_written(encoding):
    text = "Zürich,18.4 °C\nBjörkö,±2 µm\nSão João,½ m³\nHöfðaströnd,3\n"
    assert read_text(text.encode(encoding)) == text


def test_a_single_bad_byte_does_not_make_another_encoding_of_utf8():
    content = "Zürich,1\nZürich,2\n".encode()
    assert read_text(content.replace("ü".encode(), b"\xc3", 1)) == "Z\ufffdrich,1\nZürich,2\n"
    assert read_text(content + b"\xff,3\n") == "Zürich,1\nZürich,2\n\ufffd,3\n"


def test_bytes_that_make_no_sense_in_western_europe_stay_unreadable_and_invent_no_name():
    for content in ("Москва,1\n".encode("cp1251"), "気温,1\n".encode("shift_jis"), b"roof\xff,1\n"):
        text = read_text(content)
        assert "\ufffd" in text
        assert text.endswith(",1\n")
        assert not any(0x7F < ord(character) < 0x250 for character in text)


@pytest.mark.parametrize("encoding", ["cp1251", "shift_jis", "utf-16-le", "utf-16-be", "koi8-r", "utf-8", "cp1252"])
def test_a_declared_encoding_is_the_one_that_is_read(encoding):
    text = "Zeit,1\n" if encoding == "cp1252" else "a,1\n"
    text += {"cp1251": "Время", "koi8-r": "Время", "shift_jis": "気温"}.get(encoding, "Wärme") + "\n"
    assert read_text(text.encode(encoding), encoding) == text


def test_what_no_text_can_be_in_is_no_encoding():
    for name in ("cp1252", "UTF-16-LE", "shift_jis"):
        assert TypeAdapter(Encoding).validate_python(name) == name
    for name in ("utf-88", "hex", "rot13", ""):
        with pytest.raises(ValidationError, match=f"'{name}' is not an encoding"):
            TypeAdapter(Encoding).validate_python(name)


@pytest.mark.parametrize(
    ("words", "encoding"),
    [
        (["Москва", "Псков"], "cp1251"),
        (["Москва"], "koi8-r"),
        (["Київ", "Одеса"], "cp1251"),
        (["Łódź"], "cp1250"),
        (["Łódź"], "cp852"),
        (["Köln"], "cp850"),
        (["Zürich-Höngg"], "mac_roman"),
        (["Αθήνα"], "cp1253"),
        (["東京"], "shift_jis"),
        (["北京", "上海"], "gb18030"),
    ],
)
def test_the_encoding_of_words_is_the_one_in_which_they_are_words(words, encoding):
    found = encodings_of([word.encode(encoding) for word in words])
    assert next(iter(found.items())) == (encoding, words[0])


@pytest.mark.parametrize(("word", "encoding"), [("서울", "euc_kr"), ("Москва", "mac_cyrillic"), ("חיפה", "cp1255")])
def test_an_encoding_that_cannot_be_told_from_others_is_named_with_them(word, encoding):
    found = encodings_of([word.encode(encoding)])
    assert found[encoding] == word
    assert f'"{encoding}" ({word})' in proposed_encodings([word.encode(encoding)])


def test_noise_is_in_no_encoding_and_no_word_at_all_proposes_none():
    assert encodings_of([b"\xff\xfe\x81 \xb1"]) == encodings_of([]) == {}
    assert proposed_encodings([]) == "set encoding to what the file is written in"


def test_the_first_words_that_are_not_utf8_are_kept():
    detector = EncodingDetector()
    detector.add(b"time,t\n2025-06-01,1\n")
    detector.add("a;Köln;1\na;Köln;2\nb;Malmö;3\n".encode("cp850") * 100)
    assert list(detector.words) == ["Köln".encode("cp850"), "Malmö".encode("cp850")]
