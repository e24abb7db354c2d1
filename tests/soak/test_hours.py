"""Some hours of operation: the soak in short, as a part of every test run."""

from datetime import timedelta

from daycast.settings import Settings
from daycast.times import HOUR
from daycast.warehouse.query_published import query_published
from integration.conftest import MODEL, copy_of, trained, trained_once  # noqa: F401 - fixtures
from soak.hours import DOUBLED, Troubled, operate, retrain

HOURS, SILENT = 9, (2, 7)


def test_some_hours_leave_a_forecast_for_every_hour_and_no_row_twice(trained) -> None:  # noqa: F811
    settings, first = trained.settings, trained.at + HOUR
    source = Troubled(settings.sources[0], (first + SILENT[0] * HOUR, first + SILENT[1] * HOUR))
    hours = [operate(settings, source, first + k * HOUR) for k in range(HOURS)]
    assert [hour.ingested for hour in hours] == [not SILENT[0] <= k < SILENT[1] for k in range(HOURS)]
    assert hours[6].regimes == ["stale"]  # nothing was heard for five hours
    issued = query_published(settings.published, "select distinct issued_at from forecasts order by all")
    assert issued["issued_at"].to_list() == [(first + k * HOUR).replace(minute=0) for k in range(HOURS)]
    for table, key in DOUBLED.items():
        twice = f"select {key} from {table} group by all having count(*) > 1"
        assert query_published(settings.published, twice).is_empty(), table
    assert not any(hour.drifts for hour in hours)  # so short a time proves nothing


def test_a_challenger_that_learned_nothing_is_refused(trained) -> None:  # noqa: F811
    settings, now = trained.settings, trained.at + timedelta(minutes=30)
    outcome = retrain(Settings.model_validate(worse(settings)), now)
    assert outcome.decision.winner != outcome.decision.judged


def worse(settings: Settings) -> dict[str, object]:
    """The same settings, with a network that hardly learns."""
    sources = [source.model_dump(by_alias=True) for source in settings.sources]
    model = MODEL | {"hidden": 2, "steps_per_epoch": 1, "learning_rate": 1e-9}
    return {"data": settings.data, "sources": sources, "model": model}
