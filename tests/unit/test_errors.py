"""How errors are told: in one line, expected ones in their own words, others after their kind; interrupts never stop."""

import logging
from itertools import permutations

import pytest

from daycast.errors import ConfigError, ContractError, DaycastError, SourceError, describe, join_errors, tolerated


def test_an_error_is_told_in_describe():
    assert describe(ConfigError("a.toml: no such\nkey")) == "a.toml: no such key"
    assert describe(KeyError("stage")) == "KeyError: 'stage'"
    assert describe(ValueError()) == "ValueError"
    assert len(describe(OSError("x" * 10_000))) < 400


def test_what_is_tolerated_is_a_warning_in_describe(caplog):
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


def test_a_single_error_stays_what_it_is() -> None:
    error = SourceError("no answer")
    assert join_errors([error]) is error


def test_several_errors_are_counted_and_the_first_three_named_in_one_order() -> None:
    errors = [ContractError(f"file {name} is bad") for name in "abcde"]
    told = {str(join_errors(order)) for order in permutations(errors)}
    assert told == {"5 errors: (1) file a is bad; (2) file b is bad; (3) file c is bad; and 2 more"}
    assert str(join_errors(errors[:2])) == "2 errors: (1) file a is bad; (2) file b is bad"


def test_several_errors_have_a_class_that_is_shown_as_one_line() -> None:
    assert type(join_errors([SourceError("a"), ContractError("b")])) is SourceError
    assert type(join_errors([KeyError("a"), ContractError("b")])) is DaycastError


@pytest.mark.parametrize(("first", "second"), [(True, False), (False, True), (False, False), (True, True)])
def test_several_errors_may_pass_if_one_of_them_may(first, second):
    errors = [SourceError("a").passing(may_pass=first), ContractError("b").passing(may_pass=second)]
    assert join_errors(errors).may_pass == (first or second)
    assert not SourceError("c").may_pass
