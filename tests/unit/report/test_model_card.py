"""A model with its holdout result, as people read it."""

import re
from datetime import UTC, datetime

import polars as pl
import pytest

from daycast.evaluation.serving import Fallback
from daycast.report.model_card import LISTED_FALLBACKS, ModelCard, render_model, render_models
from daycast.report.skill import HoldoutResult, Rival, name_servers, read_holdout_result
from daycast.variables import BUILT_IN

NOW = datetime(2026, 3, 20, 10, 3, tzinfo=UTC)
DECISION = {
    "judged": "gru",
    "rivals": {
        "persistence": {"crps_ratio": 0.6, "expected_gain": 0.4, "chance": 0.9999, "days": 58},
        "champion": {"crps_ratio": 0.982, "p_value": 0.2, "days": 57},  # as earlier versions tested,
        "ridge": {"crps_ratio": 1.1, "expected_gain": -0.1, "chance": 0.03, "days": 58},
        "climatology": {"crps_ratio": 0.7, "p_value": None, "days": 3},
    },
    "by_variable": {
        "air_temperature_c": {"ridge": {"crps_ratio": 0.9, "expected_gain": 0.07, "chance": 0.98, "days": 58}}
    },
}
FALLBACK = Fallback("precipitation_mm", None, "climatology", 0.91, 0.996, 58)


def scores() -> pl.DataFrame:
    """Two leads of one variable, the second with three times as many forecasts: the mean error is 1·¼ + 2·¾ = 1.75."""
    rows = [("gru", 1, 1.0, 10), ("gru", 24, 2.0, 30), ("ridge", 1, 9.0, 10)]
    frame = pl.DataFrame(rows, schema=["forecaster", "lead_hours", "mae", "n"], orient="row")
    shares = {f"coverage_{level}": pl.lit(level / 100) for level in (50, 80, 90)}
    return frame.with_columns(variable=pl.lit("air_temperature_c"), since=NOW, until=NOW, **shares)


def card(**changes: object) -> ModelCard:
    given = {
        "model_id": "gru-1",
        "forecaster": "gru",
        "role": "champion",
        "registered_at": NOW,
        "promoted_at": NOW,
        "promoted_by": "hand",
        "reason": "gru [red]is[/red] better",
        "fit": {"Trained": "on 4 stations"},
        "result": read_holdout_result(DECISION, "gru"),
        "scores": scores(),
        "fallbacks": (),
        "variables": BUILT_IN,
    }
    return ModelCard(**{**given, **changes})


def cells(text: str, start: str) -> list[str]:
    return re.split(r"\s{2,}", next(one for one in text.splitlines() if one.startswith(start)))


def test_each_rival_stands_with_its_ratio_its_chance_its_days_and_the_result() -> None:
    text = render_model(card(), 120)
    table = [one for one in text.splitlines() if "×" in one][:4]
    assert [one.split() for one in table] == [
        ["ridge", "regression", "×1.100", "3", "%", "58", "worse"],
        ["the", "champion", "of", "that", "day", "×0.982", "80", "%", "57", "perhaps", "better"],
        ["climatology", "×0.700", "–", "3", "not", "compared"],
        ["persistence", "×0.600", ">", "99", "%", "58", "better"],
    ]


def test_a_variable_stands_with_its_error_its_hardest_rival_and_who_serves_it() -> None:
    text = render_model(card(), 120)
    assert cells(text, "air temperature") == [
        "air temperature",
        "1.75 °C",
        "ridge regression",
        "×0.900",
        "98 %",
        "50",
        "80",
        "90",
        "itself",
    ]


@pytest.mark.parametrize(
    ("by", "text"), [("hand", "by hand"), ("rollback", "by a rollback"), ("holdout", "by its scores on the holdout")]
)
def test_how_a_model_was_promoted_is_said(by: str, text: str) -> None:
    assert f"champion; last promoted 2026-03-20 10:03 UTC {text}" in render_model(card(promoted_by=by), 120)


def test_a_model_that_never_served_says_no_more_than_its_role() -> None:
    assert "Role        challenger\n" in render_model(card(role="challenger", promoted_at=None, promoted_by=None), 120)


def test_text_in_brackets_is_shown_as_it_is() -> None:
    assert "gru [red]is[/red] better" in render_model(card(), 120)


def test_a_card_of_a_model_from_before_there_were_tests_has_the_ratios() -> None:
    old = read_holdout_result({"crps_ratio": {"persistence": 0.5}}, "lstm")
    assert old == HoldoutResult("lstm", (Rival("persistence", 0.5, None, None),), {})
    text = render_model(card(result=old, scores=scores().clear()), 80)
    assert cells(text, "persistence") == ["persistence", "×0.500", "–", "–", "not compared"]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_longer_than_the_terminal_is_wide(width: int) -> None:
    text = render_model(card(fallbacks=(FALLBACK,)), width)
    assert max(map(len, text.splitlines())) <= width


def test_many_fallbacks_are_counted() -> None:
    many = tuple(Fallback("precipitation_mm", f"S{i}", "ridge", 0.9, 0.99, 50) for i in range(LISTED_FALLBACKS + 7))
    text = render_model(card(fallbacks=many), 120)
    assert "and 7 more: see the table fallbacks" in text
    assert text.count("is served by") == LISTED_FALLBACKS


def test_who_serves_each_variable_is_counted_by_station() -> None:
    places = [("rain", None, "ridge"), ("rain", "a", "gru"), ("warmth", "b", "ridge"), ("warmth", "c", "ridge")]
    fallbacks = [Fallback(variable, station, name, 0.9, 0.99, 50) for variable, station, name in places]
    served = name_servers("gru", fallbacks, ["rain", "warmth", "wind"])
    assert served == {"rain": ("ridge", 1), "warmth": ("gru", 2), "wind": ("gru", 0)}


def models() -> pl.DataFrame:
    """A champion, and a challenger that was never promoted."""
    reason = "lstm is not expected to be better than ridge (CRPS ×1.003, chance 45 %); ridge serves"
    rows = [
        ("lstm-20260301-0123abcd", "challenger", None, None),
        ("ridge-20260301-0123abcd", "champion", NOW, "holdout"),
    ]
    frame = pl.DataFrame(rows, schema=["model_id", "role", "promoted_at", "promoted_by"], orient="row")
    return frame.with_columns(trained_until=NOW, reason=pl.lit(reason))


@pytest.mark.parametrize("width", [80, 120])
def test_the_list_of_models_has_a_line_for_each_with_its_reason_below(width: int) -> None:
    shown = render_models(models(), width).splitlines()
    assert all(len(line) <= width for line in shown)
    assert re.split(r"\s{2,}", shown[0]) == ["model", "role", "trained until", "promoted", "by"]
    first, second = (i for i, line in enumerate(shown) if line.startswith(("lstm-", "ridge-")))
    assert shown[first].split() == ["lstm-20260301-0123abcd", "challenger", "2026-03-20", "–", "–"]
    assert shown[second].split()[-3:] == ["2026-03-20", "10:03", "holdout"]
    below = " ".join(line.strip() for line in shown[first + 1 : second])
    assert below == models()["reason"][0]


def test_where_no_model_is_there_the_list_says_how_to_make_one() -> None:
    assert "daycast retrain" in render_models(models().clear(), 80)
