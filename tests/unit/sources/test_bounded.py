import gzip
import io
import tracemalloc

import pytest

from daycast.errors import SourceError
from daycast.sources import streams as bounded
from daycast.sources.streams import DamagedError, counted, read_bytes, unpacked, whole_lines


def in_blocks(content: bytes, size: int) -> list[bytes]:
    return [content[first : first + size] for first in range(0, len(content), size)]


@pytest.mark.parametrize("content", [b"", b"\x1f", b"plain\n", b"a\n" * 3_000_000])
def test_bytes_come_out_of_gzip_and_plain_ones_as_they_are(content):
    assert b"".join(unpacked(io.BytesIO(content))) == content
    assert b"".join(unpacked(io.BytesIO(gzip.compress(content)))) == content


def test_gzip_of_several_members_is_one_text():
    assert b"".join(unpacked(io.BytesIO(gzip.compress(b"a\n") + gzip.compress(b"b\n")))) == b"a\nb\n"


@pytest.mark.parametrize(
    "content", [gzip.compress(b"a\n" * 100)[:-9], b"\x1f\x8bnonsense", gzip.compress(b"a") + b"rest"]
)
def test_damaged_gzip_is_told(content):
    with pytest.raises(DamagedError):
        list(unpacked(io.BytesIO(content)))


def test_what_unpacks_to_more_than_is_read_is_refused_and_takes_no_memory():
    packed = gzip.compress(b" " * 100 * 2**20)
    tracemalloc.start()
    with pytest.raises(SourceError, match=r"^a\.gz holds more than 5,000,000 bytes, the most that is read: cut it"):
        for _ in counted(unpacked(io.BytesIO(packed)), "a.gz", 5_000_000):
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
    monkeypatch.setattr(bounded, "MOST_LINE", 100)
    for length in (99, 101):
        content = around + b"x" * length + b"\n" + around
        blocks = whole_lines(in_blocks(content, 30), "a.csv")
        if length <= bounded.MOST_LINE:
            assert b"".join(blocks) == content
        else:
            with pytest.raises(SourceError, match=r"^a\.csv has a line of more than 100 bytes"):
                list(blocks)


def test_an_endless_file_is_refused():
    with pytest.raises(SourceError, match="/dev/zero holds more than 1,000 bytes"):
        read_bytes(bounded.Path("/dev/zero"), "/dev/zero", most=1000)
