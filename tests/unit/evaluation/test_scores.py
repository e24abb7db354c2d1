"""Scores, against values worked out by hand, a scalar oracle, and the closed form for a Gaussian forecast."""

import math
from statistics import NormalDist

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daycast.evaluation.scores import (
    CRPS_WEIGHTS,
    LEVELS,
    MEANS,
    Tally,
    score_elements,
    score_groups,
    sharpness_elements,
)

FORECAST = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])
COLUMNS = ("q05", "q10", "q25", "q50", "q75", "q90", "q95")


def score_rows(rows: pl.DataFrame) -> pl.DataFrame:
    """The mean scores of forecasts, a row each, by the first letter of their station."""
    group = rows["station_id"].str.head(1).to_list()
    scores = score_groups(
        rows.select(COLUMNS).to_numpy(),
        rows["observed"].cast(pl.Float64).to_numpy(),
        np.array([ord(letter) for letter in group], np.int64),
    )
    return scores.with_columns(station_id=pl.Series([chr(code) for code in scores["group"]], dtype=pl.String))


def score(quantiles: np.ndarray, truth: float) -> dict[str, float]:
    return {name: value.item() for name, value in score_elements(quantiles[None], np.array([truth])).items()}


def oracle(quantiles: list[float], truth: float) -> dict[str, float]:
    """All scores of one forecast, by the definitions, one number at a time."""
    levels = [0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95]
    shares = [0.075, 0.10, 0.20, 0.25, 0.20, 0.10, 0.075]  # of (0, 1), nearest to each level
    crps = 0.0
    for level, share, quantile in zip(levels, shares, quantiles, strict=True):
        loss = level * (truth - quantile) if truth >= quantile else (1 - level) * (quantile - truth)
        crps += 2 * share * loss
    return {
        "mae": abs(quantiles[3] - truth),
        "mse": (quantiles[3] - truth) ** 2,
        "bias": quantiles[3] - truth,
        "crps": crps,
        "coverage_50": float(quantiles[2] <= truth <= quantiles[4]),
        "coverage_80": float(quantiles[1] <= truth <= quantiles[5]),
        "coverage_90": float(quantiles[0] <= truth <= quantiles[6]),
    }


def sharpness_oracle(quantiles: list[float], truth: float) -> dict[str, float]:
    """Pinball loss and widths of one forecast, by the definitions, one number at a time."""
    losses = []
    for level, quantile in zip([0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95], quantiles, strict=True):
        losses.append(level * (truth - quantile) if truth >= quantile else (1 - level) * (quantile - truth))
    q05, q10, q25, _, q75, q90, q95 = quantiles
    return {"pinball": sum(losses) / 7, "width_50": q75 - q25, "width_80": q90 - q10, "width_90": q95 - q05}


number = st.floats(-50, 50).map(lambda value: round(value, 2))


@given(st.lists(number, min_size=7, max_size=7).map(sorted), number)
def test_every_score_is_what_its_definition_gives(quantiles: list[float], truth: float) -> None:
    assert score(np.array(quantiles), truth) == pytest.approx(oracle(quantiles, truth), abs=1e-9)


@given(st.lists(number, min_size=7, max_size=7).map(sorted), number)
def test_pinball_loss_and_widths_are_what_their_definitions_give(quantiles: list[float], truth: float) -> None:
    got = {name: value.item() for name, value in sharpness_elements(np.array([quantiles]), np.array([truth])).items()}
    assert got == pytest.approx(sharpness_oracle(quantiles, truth), abs=1e-9)


def rows_of(*forecasts: tuple[tuple[float, ...], float]) -> pl.DataFrame:
    """Long rows of one group: each its seven quantiles and what came."""
    frame = pl.DataFrame([quantiles for quantiles, _ in forecasts], schema=list(COLUMNS), orient="row")
    return frame.with_columns(observed=pl.Series([truth for _, truth in forecasts]), station_id=pl.lit("a"))


@pytest.mark.parametrize(
    ("forecasts", "expected"),
    [
        pytest.param(
            [((3.0,) * 7, 3.0), ((4.0,) * 7, 4.0)],
            {
                "mae": 0,
                "rmse": 0,
                "bias": 0,
                "crps": 0,
                "pinball": 0,
                "coverage_50": 1,
                "coverage_90": 1,
                "width_90": 0,
            },
            id="perfect",
        ),
        pytest.param(  # always 2 in a world of 1 and 5: errors 1 and -3; the levels' mean is a half, so pinball is half the error
            [((2.0,) * 7, 1.0), ((2.0,) * 7, 5.0)],
            {"mae": 2, "rmse": 5**0.5, "bias": -1, "crps": 2, "pinball": 1, "coverage_90": 0, "width_50": 0},
            id="constant",
        ),
        pytest.param(  # 1 to 7 when 3 came: always 1 too high; each loss by hand: .1 .1 0 .5 .5 .3 .2
            [((1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0), 3.0), ((11.0, 12.0, 13.0, 14.0, 15.0, 16.0, 17.0), 13.0)],
            {
                "mae": 1,
                "rmse": 1,
                "bias": 1,
                "crps": 2 * (0.075 * 0.1 + 0.1 * 0.1 + 0.25 * 0.5 + 0.2 * 0.5 + 0.1 * 0.3 + 0.075 * 0.2),
                "pinball": 1.7 / 7,
                "coverage_50": 1,
                "width_50": 2,
                "width_80": 4,
                "width_90": 6,
            },
            id="biased",
        ),
    ],
)
def test_scores_of_a_perfect_a_constant_and_a_biased_forecast_are_those_worked_out_by_hand(
    forecasts: list, expected: dict[str, float]
) -> None:
    (row,) = score_rows(rows_of(*forecasts)).to_dicts()
    assert {name: row[name] for name in expected} == pytest.approx(expected, abs=1e-12)


def test_the_weights_share_out_the_whole_of_the_levels_evenly_around_the_median() -> None:
    assert CRPS_WEIGHTS.sum() == pytest.approx(1.0)
    assert pytest.approx(0.5) == CRPS_WEIGHTS @ LEVELS
    assert CRPS_WEIGHTS.tolist() == pytest.approx([0.075, 0.10, 0.20, 0.25, 0.20, 0.10, 0.075])


def test_a_perfect_forecast_scores_nothing_and_covers_all() -> None:
    assert score(np.full(7, 3.5), 3.5) == {
        **dict.fromkeys(("mae", "mse", "bias", "crps"), 0.0),
        **dict.fromkeys(("coverage_50", "coverage_80", "coverage_90"), 1.0),
    }


def test_the_crps_of_a_point_forecast_is_its_absolute_error() -> None:
    assert score(np.full(7, 3.0), 5.5)["crps"] == pytest.approx(2.5)
    assert score(np.full(7, 3.0), -1.0)["crps"] == pytest.approx(4.0)


def test_bias_is_forecast_minus_truth() -> None:
    assert score(FORECAST, 1.0)["bias"] == 3.0
    assert score(FORECAST, 6.0)["bias"] == -2.0


@pytest.mark.parametrize("truth", [0.0, 0.7, -1.2])
def test_the_crps_of_a_gaussian_is_near_the_closed_form(truth: float) -> None:
    """Gneiting & Raftery (2007), doi:10.1198/016214506000001437, equation 21. Seven levels give up to 0.03 less."""
    normal = NormalDist()
    quantiles = np.array([normal.inv_cdf(level) for level in LEVELS])
    exact = truth * (2 * normal.cdf(truth) - 1) + 2 * normal.pdf(truth) - 1 / math.sqrt(math.pi)
    assert score(quantiles, truth)["crps"] == pytest.approx(exact - 0.015, abs=0.016)


@pytest.mark.parametrize(
    ("truth", "covered"),
    [
        (3.0, (1, 1, 1)),
        (5.0, (1, 1, 1)),
        (2.999, (0, 1, 1)),
        (2.0, (0, 1, 1)),
        (6.001, (0, 0, 1)),
        (7.0, (0, 0, 1)),
        (0.999, (0, 0, 0)),
    ],
)
def test_an_interval_covers_its_own_edges_and_nothing_beyond(truth: float, covered: tuple) -> None:
    scores = score(FORECAST, truth)
    assert tuple(scores[name] for name in ("coverage_50", "coverage_80", "coverage_90")) == covered


def test_where_the_truth_is_missing_every_score_is() -> None:
    assert all(math.isnan(value) for value in score(FORECAST, math.nan).values())


def test_a_tally_in_parts_is_the_mean_over_all_windows_that_have_a_truth() -> None:
    rng = np.random.default_rng(3)
    quantiles = np.sort(rng.normal(size=(9, 2, 2, 7)), axis=-1)  # (N, H, V, Q)
    truth = rng.normal(size=(9, 2, 2))
    truth[rng.random(truth.shape) < 0.3] = np.nan
    tally = Tally()
    for start, end in ((0, 2), (2, 3), (3, 9)):
        tally.add(quantiles[start:end], truth[start:end])
    for row in tally.table("gru", ["warmth", "rain"]).to_dicts():
        h, v = row["lead_hours"] - 1, ["warmth", "rain"].index(row["variable"])
        single = [oracle(list(quantiles[n, h, v]), truth[n, h, v]) for n in range(9) if not np.isnan(truth[n, h, v])]
        expected = {name: np.mean([one[name] for one in single]) for name in MEANS}
        expected["rmse"] = math.sqrt(expected.pop("mse"))
        assert row["n"] == len(single)
        assert {name: row[name] for name in expected} == pytest.approx(expected)


def test_a_tally_has_no_row_where_there_was_no_truth() -> None:
    tally = Tally()
    truth = np.array([[[1.0, np.nan], [1.0, 2.0]]])  # (1, 2, 2)
    tally.add(np.zeros((1, 2, 2, 7)), truth)
    assert tally.table("gru", ["a", "b"]).select("variable", "lead_hours").rows() == [("a", 1), ("a", 2), ("b", 2)]
    assert Tally().table("gru", ["a"]).is_empty()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.none() | number), min_size=1, max_size=12))
def test_scores_of_rows_are_means_by_group_over_what_was_observed(rows: list[tuple[str, float | None]]) -> None:
    frame = pl.DataFrame(rows, schema={"station_id": pl.String, "observed": pl.Float64}, orient="row")
    frame = frame.with_columns(pl.lit(value).alias(name) for name, value in zip(COLUMNS, FORECAST, strict=True))
    scored = score_rows(frame)
    expected = {}
    for station in "ab":
        single = [oracle(list(FORECAST), observed) for s, observed in rows if s == station and observed is not None]
        if single:
            expected[station] = [len(single), *(np.mean([one[name] for one in single]) for name in MEANS)]
    assert scored["station_id"].to_list() == sorted(expected)
    for row in scored.to_dicts():
        got = [row["n"], *(row["rmse"] ** 2 if name == "mse" else row[name] for name in MEANS)]
        assert got == pytest.approx(expected[row["station_id"]], abs=1e-9)
