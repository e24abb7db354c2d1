"""Some hours of operation: the soak in short, as a part of every test run."""

from dataclasses import replace

import pytest

from daycast.steps.evaluate import evaluate_holdout
from daycast.steps.train import fit_snapshot, write_snapshot
from daycast.times import HOUR
from daycast.warehouse.publish.query import query_published
from integration.conftest import copy_of, trained, trained_once  # noqa: F401 - fixtures
from soak.hours import DOUBLED, Troubled, operate

pytestmark = pytest.mark.slow

HOURS, SILENT = 5, (1, 4)


def test_some_hours_leave_a_forecast_for_every_hour_and_no_row_twice(trained) -> None:  # noqa: F811
    settings, first = trained.settings, trained.at + HOUR
    source = Troubled(settings.sources[0], (first + SILENT[0] * HOUR, first + SILENT[1] * HOUR))
    hours = [operate(settings, source, first + k * HOUR) for k in range(HOURS)]
    assert [hour.ingested for hour in hours] == [not SILENT[0] <= k < SILENT[1] for k in range(HOURS)]
    assert [hour.regimes == ["stale"] for hour in hours] == [k == 3 for k in range(HOURS)]  # silent for three hours
    issued = query_published(settings.published, "select distinct issued_at from forecasts order by all")
    assert issued["issued_at"].to_list() == [(first + k * HOUR).replace(minute=0) for k in range(HOURS)]
    for table, key in DOUBLED.items():
        twice = f"select {key} from {table} group by all having count(*) > 1"
        assert query_published(settings.published, twice).is_empty(), table
    assert not any(hour.drifts for hour in hours)  # so short a time proves nothing


def test_a_challenger_that_learned_little_is_refused(trained) -> None:  # noqa: F811
    settings, now = trained.settings, trained.at
    little = replace(settings.model, base=False, seed=2)  # with the base network's help it would not be bad
    snapshot = write_snapshot(settings, now)
    checkpoint = fit_snapshot(snapshot, settings.checkpoints, settings.glossary, little, lambda _: None)
    decision, _ = evaluate_holdout(settings, checkpoint, now)
    assert decision.winner != "gru"
    assert decision.reason.startswith("gru is not expected to be better than the champion (CRPS ×1.")
