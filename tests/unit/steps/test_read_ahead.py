"""A source is read ahead in a thread: group by group, up to its time limit, and left at once when the reader leaves."""

import threading
from collections.abc import Callable, Iterator

import polars as pl
import pytest

from daycast.errors import SourceError
from daycast.sources.batch import SourceBatch, find_stop, no_problems
from daycast.steps import read_ahead
from daycast.steps.read_ahead import ReadAhead

PATIENCE_S = 60.0  # for what is bound to happen, on a busy machine


def batch(rows: int, name: str = "") -> SourceBatch:
    readings = pl.DataFrame({"station_id": ["a"] * rows})
    return SourceBatch(name, name, readings, readings, no_problems(), complete=True)


def sizes(reading: ReadAhead) -> list[list[int]]:
    with reading:
        return [[len(one.readings) for one in group] for group in reading.groups()]


@pytest.fixture
def small_groups(monkeypatch) -> None:
    monkeypatch.setattr(read_ahead, "GROUP_ROWS", 10)
    monkeypatch.setattr(read_ahead, "GROUP_SECONDS", 1e6)
    monkeypatch.setattr(read_ahead, "PAUSE_S", 1e6)


@pytest.mark.usefixtures("small_groups")
def test_batches_come_in_groups_of_about_so_many_rows():
    assert sizes(ReadAhead(lambda: (batch(n) for n in (4, 4, 4, 25, 3)), None)) == [[4, 4, 4], [25], [3]]
    assert sizes(ReadAhead(lambda: (batch(n) for n in ()), None)) == []


@pytest.mark.usefixtures("small_groups")
def test_no_more_than_a_group_is_read_ahead():
    begun = []

    def read() -> Iterator[SourceBatch]:
        for number in range(9):
            begun.append(number)
            yield batch(10)

    with ReadAhead(read, None) as reading:
        for number, _ in enumerate(reading.groups()):
            assert max(begun) <= number + 2


def test_what_comes_slowly_is_handed_over_batch_by_batch(monkeypatch):
    monkeypatch.setattr(read_ahead, "PAUSE_S", 0.01)
    taken = threading.Semaphore(1)

    def read() -> Iterator[SourceBatch]:
        for _ in range(3):
            assert taken.acquire(timeout=PATIENCE_S)  # the next one comes only once the one before was taken
            yield batch(1)

    with ReadAhead(read, None) as reading:
        for group in reading.groups():
            assert len(group) == 1
            taken.release()
    assert reading.error is None


def test_an_error_comes_after_what_came_before_it():
    def read() -> Iterator[SourceBatch]:
        yield batch(3)
        raise SourceError("gone")

    reading = ReadAhead(read, None)
    assert sizes(reading) == [[3]]
    assert (str(reading.error), reading.out_of_time) == ("gone", False)


def stalling(left: Callable[[], None]) -> Iterator[SourceBatch]:
    yield batch(3)
    try:
        find_stop().sleep(3600.0)
        yield batch(4)
    finally:
        left()


def test_when_its_time_is_over_what_came_is_handed_over_and_the_rest_is_left():
    left = threading.Event()
    reading = ReadAhead(lambda: stalling(left.set), 1.0)
    assert sizes(reading) == [[3]]
    assert (reading.error, reading.out_of_time) == (None, True)
    assert left.wait(PATIENCE_S)


def test_who_is_interrupted_while_it_waits_for_a_source_leaves_at_once():
    left = threading.Event()

    def fail() -> None:
        with ReadAhead(lambda: stalling(left.set), None) as reading:
            for _ in reading.groups():
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert left.wait(PATIENCE_S)


def test_who_is_interrupted_does_not_wait_for_a_thread_that_cannot_be_stopped():
    stuck, free = threading.Event(), threading.Event()

    def read() -> Iterator[SourceBatch]:
        yield batch(1)
        stuck.set()
        free.wait(3600.0)

    def fail() -> None:
        with ReadAhead(read, None) as reading:
            for _ in reading.groups():
                assert stuck.wait(PATIENCE_S)
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert not free.is_set()
    free.set()
