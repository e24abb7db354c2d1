"""Several errors are told as one."""

from itertools import permutations

from daycast.errors import ContractError, DaycastError, SourceError, join_errors


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
