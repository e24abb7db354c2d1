from datetime import UTC, datetime

import polars as pl
import pytest

from daycast.evaluation.serving import Fallback
from daycast.report.skill import NAIVE, SkillSpan, better, compare_with_naive, describe_basis
from daycast.variables import BUILT_IN


def _skill(*rows):
    columns = ["variable", "forecaster", "mae", "crps", "bias", "coverage_80"]
    return pl.DataFrame([(*row, 0.1, 0.78) for row in rows], schema=columns, orient="row")


def test_the_naive_forecasters_are_those_of_the_model_package():
    from daycast.model import baselines

    assert set(NAIVE) == set(baselines.NAIVE)


def test_a_saving_is_the_share_of_the_best_naive_error():
    skill = _skill(
        ("air_temperature_c", "lstm", 1.5, 1.0),
        ("air_temperature_c", "persistence", 3.0, 1.25),
        ("air_temperature_c", "climatology", 2.0, 1.6),
        ("air_temperature_c", "ridge", 1.6, 1.1),
    )
    (line,) = compare_with_naive(skill, "lstm", BUILT_IN)
    assert (line.rival, line.rival_mae) == ("climatology", 2.0)  # ridge is not naive
    assert line.saving == pytest.approx(0.25)  # 1 - 1.5 / 2
    assert line.crps_saving == pytest.approx(0.2)  # 1 - 1 / 1.25: persistence has the lowest naive CRPS


def test_a_naive_champion_is_compared_with_the_others():
    skill = _skill(("wind_speed_m_s", "persistence", 2.0, 2.0), ("wind_speed_m_s", "climatology", 1.6, 1.6))
    (line,) = compare_with_naive(skill, "persistence", BUILT_IN)
    assert line.rival == "climatology"
    assert line.saving == pytest.approx(-0.25)


def test_where_a_fallback_serves_its_errors_are_shown_and_not_those_of_the_champion():
    names = ("gru", "climatology", "persistence")
    skill = _skill(
        *((one, name, 1.0 + at, 1.0 + at) for one in ("dew_point_c", "wind_speed_m_s") for at, name in enumerate(names))
    )
    fallbacks = [
        Fallback("wind_speed_m_s", None, "climatology", 0.9, 0.99, 60),
        Fallback("dew_point_c", "A", "persistence", 0.9, 0.99, 60),
    ]
    dew, wind = compare_with_naive(skill, "gru", BUILT_IN, fallbacks)
    assert (dew.server, dew.exceptions, dew.mae, dew.rival) == ("gru", 1, 1.0, "climatology")
    assert (wind.server, wind.exceptions, wind.mae, wind.rival) == ("climatology", 0, 2.0, "persistence")
    assert wind.crps_saving == pytest.approx(1 - 2 / 3)


def test_lines_stand_in_the_order_of_the_glossary_and_skip_what_was_not_scored():
    skill = _skill(
        ("wind_speed_m_s", "gru", 1.0, 1.0), ("dew_point_c", "gru", 1.0, 1.0), ("dew_point_c", "climatology", 1.0, 1.0)
    )
    lines = compare_with_naive(skill, "gru", BUILT_IN)
    assert [line.variable.name for line in lines] == ["dew_point_c", "wind_speed_m_s"]
    assert lines[1].rival is None
    assert lines[1].saving is None


def test_without_error_to_save_there_is_no_saving():
    skill = _skill(("precipitation_mm", "gru", 0.1, 0.1), ("precipitation_mm", "climatology", 0.0, 0.0))
    assert compare_with_naive(skill, "gru", BUILT_IN)[0].saving is None


@pytest.mark.parametrize(
    ("saving", "text"), [(0.284, "28 % better"), (-0.03, "3 % worse"), (0.001, "equal"), (None, "–")]
)
def test_a_saving_is_said_in_words(saving, text):
    assert better(saving) == text


def test_the_basis_says_how_many_days_and_whether_they_were_trained_on():
    since, until = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 15, tzinfo=UTC)
    span = SkillSpan(since, until, 9)
    assert describe_basis("judged", span, since) == "evaluated on the newest 14 days to 2026-03-15, never trained on"
    assert "that it was also fitted on" in describe_basis("judged", span, until)
    assert describe_basis("verified", span, since) == "verified against the observations of 9 days"
    assert describe_basis("judged", SkillSpan(None, None, 0), since) == "not evaluated yet"
