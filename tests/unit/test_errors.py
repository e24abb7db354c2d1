"""How errors are told: in one line, expected ones in their own words, others after their kind; interrupts never stop."""

import logging

import pytest

from daycast.errors import ConfigError, one_line, tolerated


def test_an_error_is_told_in_one_line():
    assert one_line(ConfigError("a.toml: no such\nkey")) == "a.toml: no such key"
    assert one_line(KeyError("stage")) == "KeyError: 'stage'"
    assert one_line(ValueError()) == "ValueError"
    assert len(one_line(OSError("x" * 10_000))) < 400


def test_what_is_tolerated_is_a_warning_in_one_line(caplog):
    with caplog.at_level(logging.WARNING, "daycast"), tolerated("no picture"):
        raise KeyError("axis")
    assert [record.getMessage() for record in caplog.records] == ["no picture: KeyError: 'axis'"]


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_interrupt_is_not_tolerated(interrupt):
    with pytest.raises(interrupt), tolerated("no picture"):
        raise interrupt


def test_what_duckdb_makes_of_an_interrupt_is_one():
    with pytest.raises(KeyboardInterrupt), tolerated("no picture"):
        raise RuntimeError("Query interrupted") from KeyboardInterrupt()
