"""Which windows can be trained on, against a loop over all of them, and how they are drawn."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daycast.features.panel import Panel
from daycast.features.splits import Block
from daycast.model.training.sampling import draw, draw_outages, eligible_origins, subsample


@pytest.mark.parametrize("block", [Block(0, 420), Block(60, 330), Block(-144, 100), Block(300, 420)])
def test_a_window_is_eligible_with_a_day_of_history_and_some_truth_in_the_block(
    block: Block, make_plain_panel: Callable[[np.ndarray], Panel]
) -> None:
    rng = np.random.default_rng(2)
    values = np.where(rng.random((3, 420, 2)) < np.array([0.08, 0.3, 0.9])[:, None, None], 1.0, np.nan)
    values[:, 250:300] = np.nan  # a gap longer than a horizon
    valid = ~np.isnan(values[..., 0])  # the second channel is no target
    eligible = eligible_origins(make_plain_panel(values), block, targets=1)
    for s in range(3):
        for t0 in range(420):
            inside = block.start <= t0 - 167 and t0 + 24 < block.end
            history, truth = valid[s, max(t0 - 167, 0) : t0 + 1].sum(), valid[s, t0 + 1 : t0 + 25].sum()
            assert eligible[s, t0] == (inside and t0 >= 0 and history >= 24 and truth > 0)


@settings(max_examples=30)
@given(st.integers(0, 1000), st.integers(1, 60))
def test_a_subsample_takes_eligible_windows_once_each_and_no_more_than_asked(seed: int, most: int) -> None:
    eligible = np.random.default_rng(seed).random((4, 50)) < 0.4
    stations, origins = subsample(eligible, most)
    assert eligible[stations, origins].all()
    assert len(set(zip(stations, origins, strict=True))) == len(stations) == min(most, eligible.sum())
    everything = list(zip(*np.nonzero(eligible), strict=True))
    ranks = np.linspace(0, len(everything) - 1, len(stations)).round().astype(int)
    assert [everything[rank] for rank in ranks] == list(zip(stations, origins, strict=True))


def test_draws_are_eligible_and_the_same_for_the_same_seed() -> None:
    eligible = np.zeros((3, 300), bool)
    eligible[1, 180:185] = eligible[2, 200] = True
    block = Block(0, 300)
    stations, origins = draw(eligible, 400, block, np.random.default_rng(5))
    assert len(stations) == len(origins) == 400
    assert eligible[stations, origins].all()
    assert len(set(zip(stations.tolist(), origins.tolist(), strict=True))) == 6  # every one of them comes up
    again = draw(eligible, 400, block, np.random.default_rng(5))
    assert (again[0] == stations).all()
    assert (again[1] == origins).all()


def test_outages_have_the_given_probability_and_are_at_the_end_or_scattered() -> None:
    hidden, around = (part.numpy() for part in draw_outages(4000, 0.25, np.random.default_rng(1)))
    affected = hidden.any(axis=1)
    assert affected.mean() == pytest.approx(0.25, abs=0.03)
    count = hidden[affected].sum(axis=1)
    at_the_end = np.array([row[168 - n :].all() for row, n in zip(hidden[affected], count, strict=True)])
    assert at_the_end.mean() == pytest.approx(0.5, abs=0.06)
    assert set(count[at_the_end]) == set(range(1, 25))
    assert hidden[affected][~at_the_end].mean() == pytest.approx(0.25, abs=0.02)
    assert count[~at_the_end].max() < 0.5 * 168
    assert around[affected].any(axis=1).mean() == pytest.approx(0.5, abs=0.06)
    assert np.array_equal(around, hidden & around.any(axis=1)[:, None])
    assert not any(part.any() for part in draw_outages(50, 0.0, np.random.default_rng(1)))
