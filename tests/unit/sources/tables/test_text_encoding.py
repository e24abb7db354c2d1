import pytest
from pydantic import TypeAdapter, ValidationError

from daycast.sources.streams import Encoding, Evidence, as_utf8, marked_encoding


def read(content: bytes, encoding: str | None = None) -> str:
    """The text, by the evidence of its lines where no encoding is declared."""
    evidence = Evidence()
    for line in content.splitlines(keepends=True):
        evidence.add(line)
    chosen = encoding or marked_encoding(content) or evidence.encoding
    return b"".join(as_utf8([content[:5], content[5:]], chosen)).decode()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252", "latin-1"])
def test_a_western_text_is_read_whichever_way_it_is_written(encoding):
    text = "Zürich,18.4 °C\nBjörkö,±2 µm\nSão João,½ m³\nHöfðaströnd,3\n"
    assert read(text.encode(encoding)) == text


def test_a_single_bad_byte_does_not_make_another_encoding_of_utf8():
    content = "Zürich,1\nZürich,2\n".encode()
    assert read(content.replace("ü".encode(), b"\xc3", 1)) == "Z\ufffdrich,1\nZürich,2\n"
    assert read(content + b"\xff,3\n") == "Zürich,1\nZürich,2\n\ufffd,3\n"


def test_bytes_that_make_no_sense_in_western_europe_stay_unreadable_and_invent_no_name():
    for content in ("Москва,1\n".encode("cp1251"), "気温,1\n".encode("shift_jis"), b"roof\xff,1\n"):
        text = read(content)
        assert "\ufffd" in text
        assert text.endswith(",1\n")
        assert not any(0x7F < ord(character) < 0x250 for character in text)


@pytest.mark.parametrize("encoding", ["cp1251", "shift_jis", "utf-16-le", "utf-16-be", "koi8-r", "utf-8", "cp1252"])
def test_a_declared_encoding_is_the_one_that_is_read(encoding):
    text = "Zeit,1\n" if encoding == "cp1252" else "a,1\n"
    text += {"cp1251": "Время", "koi8-r": "Время", "shift_jis": "気温"}.get(encoding, "Wärme") + "\n"
    assert read(text.encode(encoding), encoding) == text


def test_what_no_text_can_be_in_is_no_encoding():
    for name in ("cp1252", "UTF-16-LE", "shift_jis"):
        assert TypeAdapter(Encoding).validate_python(name) == name
    for name in ("utf-88", "hex", "rot13", ""):
        with pytest.raises(ValidationError, match=f"'{name}' is no encoding"):
            TypeAdapter(Encoding).validate_python(name)
