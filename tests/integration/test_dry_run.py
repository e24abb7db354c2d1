"""A dry run says what would happen, which then does happen, and changes nothing itself."""

from dataclasses import replace
from datetime import datetime

import pytest

from daycast.errors import ConfigError, ModelError, NotEnoughDataError
from daycast.settings import Settings
from daycast.steps.forecast import issue_forecasts, plan_forecasts
from daycast.steps.registry import promote, rollback
from daycast.steps.train import plan_retraining
from daycast.times import DAY, HOUR, floor_hour
from integration.conftest import Trained

pytestmark = pytest.mark.slow


def tables_of(settings: Settings, now: datetime) -> dict[str, list[tuple]]:
    with settings.warehouse.write(now) as con:
        names = con.execute("select table_name from duckdb_tables() order by all").fetchall()
        return {name: con.sql(f"from {name} order by all").pl().rows() for (name,) in names}


@pytest.fixture
def second(trained: Trained) -> Trained:
    """With a model `other` beside the champion."""
    with trained.settings.warehouse.write(trained.at) as con:
        changed = "'other' as model_id, 'challenger' as role, null as promoted_at"
        con.execute(f"insert into models by name select * replace ({changed}) from models where role = 'champion'")
    return trained


def test_a_planned_forecast_says_what_the_forecast_then_writes_and_replaces(second: Trained) -> None:
    settings, now = second.settings, second.at
    issue_forecasts(settings, now, stations=["S0001", "S0002"])
    before = tables_of(settings, now)
    plan = plan_forecasts(settings, now, model_id="other")
    assert tables_of(settings, now) == before
    rows = issue_forecasts(settings, now, model_id="other")
    assert (plan.rows, plan.stations, plan.replaced) == (len(rows), 4, 2 * 2 * 24)  # stations, targets, leads
    assert rows["model_id"].unique().to_list() == [plan.model_id] == ["other"]
    assert plan_forecasts(settings, now, stations=["S0003"]).replaced == 2 * 24
    assert str(plan).startswith(f"{floor_hour(now):%Y-%m-%dT%H:%MZ} by other (")
    assert str(plan).endswith("192 rows for 4 stations, 96 replaced")


def test_a_planned_forecast_is_refused_like_the_forecast(trained: Trained) -> None:
    settings, now = trained.settings, trained.at
    for act in (plan_forecasts, issue_forecasts):
        with pytest.raises(ConfigError, match="cannot be an hour of issue"):
            act(settings, now, now + DAY)
        with pytest.raises(ConfigError, match="no station 'S9'"):
            act(settings, now, stations=["S9"])
        with pytest.raises(ModelError, match="there is no model 'x'"):
            act(settings, now, model_id="x")
        with pytest.raises(NotEnoughDataError):
            act(settings, now + 9 * DAY)


def test_a_promotion_and_a_rollback_are_tried_before_they_are_done(second: Trained) -> None:
    settings, now = second.settings, second.at
    for act in (
        lambda **how: promote(settings, "other", now + HOUR, **how),
        lambda **how: rollback(settings, now, **how),
    ):
        before = tables_of(settings, now)
        tried = act(dry_run=True)
        assert tables_of(settings, now) == before
        assert f"{tried.model_id} would be champion in place of {tried.before}: " in str(tried)
        done = act()
        assert replace(done, made=False) == tried
        assert tables_of(settings, now) != before
    with pytest.raises(ModelError, match="there is no model 'x'"):
        promote(settings, "x", now, dry_run=True)


def test_a_planned_retraining_says_on_what_for_how_long_and_against_whom(trained: Trained) -> None:
    settings, now = trained.settings, trained.at
    before = tables_of(settings, now)
    model = replace(settings.with_cell("lstm", epochs=7, minutes=2.5), warm_start=True)
    said = str(plan_retraining(settings, model, now))
    assert tables_of(settings, now) == before
    assert "1 networks (lstm), at most 7 epochs each, within 2.5 minutes, beginning with gru-" in said
    assert "on 4 stations, 2025-10-08 to 2026-02-05 10:00 UTC, in this very run; judged against gru-" in said
    short = replace(model, least_training_days=100)
    assert "the baselines alone (120 days of history leave " in str(plan_retraining(settings, short, now))


def test_a_retraining_without_observations_is_refused_when_planned(tmp_path) -> None:
    settings = Settings.model_validate({}, context={"folder": tmp_path})
    with pytest.raises(NotEnoughDataError, match="no observation yet"):
        plan_retraining(settings, settings.model, datetime.fromisoformat("2026-02-01T00:00:00Z"))
