"""A drift is noted once, told wherever people look, and over with the next champion."""

import re
from datetime import datetime, timedelta

import pytest

from daycast.report.summary import render_summary
from daycast.settings import DriftSettings, Settings
from daycast.steps.publish import publish_tables, summarise, write_report
from daycast.steps.registry import promote
from daycast.steps.verify import note_drifts
from daycast.times import DAY, HOUR
from daycast.warehouse.publish.query import query_published

pytestmark = pytest.mark.slow

WARMTH = "air_temperature_c"


def execute(settings: Settings, now: datetime, text: str, **parameters: object) -> None:
    with settings.warehouse.write(now) as con:
        con.execute(text, parameters or None)


def write_scores(settings: Settings, now: datetime, forecaster: str, crps: float, coverage: float) -> None:
    """The champion's scores of the 20 days before today, under the name of its network or of a baseline."""
    text = """
        insert into scores by name
        select model_id, $forecaster as forecaster, 'S0001' as station_id, $variable as variable, 3 as lead_hours,
            $today::date - days as valid_on, 24 as n, 1.0 as mae, 1.0 as rmse, 0.0 as bias,
            $crps * (1 + days % 3) as crps, 0.5 as coverage_50, $coverage as coverage_80, 0.9 as coverage_90, $today as scored_at
        from champion, (select unnest(range(1, 21))::integer as days)
    """
    execute(settings, now, text, forecaster=forecaster, crps=crps, coverage=coverage, today=now, variable=WARMTH)


@pytest.fixture
def drifted(trained):
    """Settings and a moment 20 days after promotion, since when every day was three times as bad as climatology."""
    settings, now = trained.settings, trained.at + timedelta(days=20)
    write_scores(settings, now, "gru", 3.0, 0.3)
    write_scores(settings, now, "climatology", 1.0, 0.8)
    return settings, now


def test_a_drift_is_new_once_and_told_by_table_view_summary_and_page(drifted) -> None:
    settings, now = drifted
    model_id, drifts = note_drifts(settings, now)
    assert [(one.variable, one.measure, one.rival) for one in drifts] == [
        (WARMTH, "skill", "climatology"),
        (WARMTH, "coverage", None),
    ]
    assert [one.observed for one in drifts] == pytest.approx([3.0, 0.3])
    assert note_drifts(settings, now + HOUR) == (model_id, [])
    assert note_drifts(settings, now + DAY) == (model_id, [])
    publish_tables(settings, now)
    for place in ("drift", "drifts"):
        rows = query_published(settings.published, f"select model_id, variable, rival, days, found_at from {place}")
        assert [row[:4] for row in rows.sort("rival", nulls_last=True).rows()] == [
            (model_id, WARMTH, "climatology", 14),
            (model_id, WARMTH, None, 14),
        ]
        assert set(rows["found_at"]) == {now}
    told = "air temperature: CRPS ×3.00 that of climatology"
    assert told in re.sub(r"\s+", " ", render_summary(summarise(settings, now, (), None), 110))
    assert told in write_report(settings, now).read_text()


def test_a_new_champion_ends_the_drift_and_begins_with_a_clean_slate(drifted) -> None:
    settings, now = drifted
    _, drifts = note_drifts(settings, now)
    assert drifts
    row = "select * replace ('other' as model_id, 'challenger' as role, null as promoted_at) from models"
    execute(settings, now, f"insert into models by name {row} where role = 'champion'")
    promote(settings, "other", now + HOUR)
    assert note_drifts(settings, now + 2 * HOUR) == ("other", [])
    publish_tables(settings, now)
    assert query_published(settings.published, "from drift").is_empty()
    assert len(query_published(settings.published, "from drifts")) == len(drifts)
    assert "that of climatology" not in render_summary(summarise(settings, now, (), None), 110)


def test_days_before_the_promotion_prove_nothing(drifted) -> None:
    settings, now = drifted
    execute(settings, now, "update models set promoted_at = $at", at=now - 8 * DAY)
    assert note_drifts(settings, now)[1] == []


@pytest.mark.parametrize(
    ("change", "measures"),
    [
        ({"lasting": 13}, []),  # the first of 13 windows begins long before the promotion
        ({"loss": 9.0, "coverage": 0.2}, ["skill"]),  # at most the baseline's own CRPS, whatever the loss
        ({"significance": 1e-6}, ["coverage"]),  # which was the same on every day
        ({"days": 20}, ["skill", "coverage"]),
    ],
)
def test_each_setting_decides(drifted, change: dict[str, float], measures: list[str]) -> None:
    settings, now = drifted
    other = DriftSettings.model_validate({**DriftSettings().model_dump(), **change})
    _, drifts = note_drifts(settings.model_copy(update={"drift": other}), now)
    assert [one.measure for one in drifts] == measures
    assert {one.days for one in drifts} <= {19 if "days" in change else 14}  # scored since the promotion


def test_without_a_champion_nothing_drifts(trained) -> None:
    execute(trained.settings, trained.at, "update models set role = 'retired'")
    assert note_drifts(trained.settings, trained.at) == (None, [])
