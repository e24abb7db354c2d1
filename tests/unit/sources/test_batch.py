"""What every source shares: problems as a frame, fingerprints, and the stop that ends a read."""

from contextvars import copy_context

import polars as pl
import pytest

from daycast.sources.batch import (
    PROBLEM_SCHEMA,
    Problem,
    Stop,
    StoppedError,
    current_stop,
    find_stop,
    fingerprint,
    no_problems,
    problems_frame,
)


def test_problems_are_listed_by_row_each_with_its_own_reason():
    text = pl.Series(["x", "1", None])
    rows = problems_frame(
        [
            Problem("t", pl.Series([True, False, False]), text, "no number"),
            Problem("when", pl.Series([True, False, True]), text, pl.Series(["too old", "unused", "no time"])),
        ]
    )
    assert rows.schema == PROBLEM_SCHEMA
    assert rows.rows() == [(0, "t", "x", "no number"), (0, "when", "x", "too old"), (2, "when", None, "no time")]


def test_without_problems_the_frame_is_empty_and_has_its_columns():
    assert problems_frame([Problem("t", pl.Series([False]), pl.Series(["1"]), "no number")]).equals(no_problems())


def test_a_fingerprint_is_of_the_content_however_it_is_cut_and_of_how_it_is_read():
    assert fingerprint(b"abcd", {"version": 1}) == fingerprint([b"ab", b"cd"], {"version": 1})
    assert fingerprint(b"abcd", {"a": 1, "b": 2}) == fingerprint(b"abcd", {"b": 2, "a": 1})
    assert (
        len({fingerprint(b"abcd", {"version": 1}), fingerprint(b"abcd", {"version": 2}), fingerprint(b"abc", {})}) == 3
    )


def test_a_stop_calls_back_and_ends_the_block_that_it_interrupts():
    stop, calls = Stop(), []
    with pytest.raises(StoppedError), stop.callback(lambda: calls.append("cut")):
        stop.ask()
    assert calls == ["cut"]
    with pytest.raises(StoppedError), stop.callback(lambda: calls.append("late")):
        pytest.fail("the block must not begin")
    with pytest.raises(StoppedError):
        stop.sleep(3600.0)


def test_a_callback_is_forgotten_at_the_end_of_its_block():
    stop, calls = Stop(), []
    with stop.callback(lambda: calls.append("cut")):
        pass
    stop.ask()
    assert calls == []


def test_a_thread_without_a_stop_has_one_that_never_comes():
    stop = Stop()
    context = copy_context()
    context.run(current_stop.set, stop)
    assert context.run(find_stop) is stop
    assert not find_stop().is_asked
