"""The default limits: complete, in order, and of a form that the configuration can change."""

from dataclasses import fields

import pytest

from daycast.errors import ConfigError
from daycast.quality.limits import DEFAULTS, Limits
from daycast.variables import BUILT_IN, IF_MAPPED


def test_every_variable_that_needs_no_declaration_has_limits() -> None:
    assert set(DEFAULTS) == {*BUILT_IN, *IF_MAPPED}
    assert all(limits != Limits() for limits in DEFAULTS.values())


@pytest.mark.parametrize("name", DEFAULTS)
def test_failure_lies_beyond_suspicion(name: str) -> None:
    limits = DEFAULTS[name]
    for suspect, fail in (("spike_suspect", "spike_fail"), ("flat_hours_suspect", "flat_hours_fail")):
        if getattr(limits, fail) is not None:
            assert getattr(limits, suspect) < getattr(limits, fail)


def test_a_front_of_twelve_degrees_within_the_hour_is_not_even_suspected() -> None:
    assert DEFAULTS["air_temperature_c"].rate_of_change is not None
    assert DEFAULTS["air_temperature_c"].rate_of_change >= 12


def test_every_limit_is_off_unless_it_is_given() -> None:
    assert {getattr(Limits(), field.name) for field in fields(Limits)} == {None}


@pytest.mark.parametrize("name", ["flat_hours_suspect", "flat_hours_fail", "flat_hours_whole"])
@pytest.mark.parametrize("hours", [0.0, 1.0, 26.0, 6.5])
def test_a_run_that_no_window_can_show_is_refused_by_name(name: str, hours: float) -> None:
    with pytest.raises(ConfigError, match=f"{name} is {hours:g}: give whole hours from 2 to 25"):
        Limits(**{name: hours})


@pytest.mark.parametrize("hours", [2.0, 25.0, 6])
def test_whole_hours_that_fit_are_accepted(hours: float) -> None:
    assert Limits(flat_hours_suspect=hours).flat_hours_suspect == hours
