"""Every question of the cookbook is answered as a slow and obvious computation on the bare tables answers it."""

from pathlib import Path

import pytest

from daycast.steps.forecast import issue_forecasts
from daycast.steps.ingest import ingest_source
from daycast.steps.publish import publish_tables
from daycast.steps.verify import verify_forecasts
from daycast.times import DAY, HOUR
from daycast.warehouse.comments import leading_comment
from daycast.warehouse.publish import query_published
from daycast.warehouse.statements import sql_folder
from integration.conftest import TRAINED_AT, small_settings, with_champion
from integration.slow_answers import SlowAnswers

FILES = sorted((sql_folder() / "cookbook").glob("*.sql"))
LIMITS = {"frost_tonight": ("0)", (0.0, 3.0)), "gale_ahead": ("17.2)", (17.2, 4.0)), "heat_ahead": ("30)", (30.0, 2.0))}
CASES = [(path.stem, limit) for path in FILES for limit in LIMITS.get(path.stem, ("", (None,)))[1]]
TABLES = ("stations", "observation_versions", "models", "forecasts", "scores")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, _one_thread: None) -> Path:
    """Forecasts of three days, verified, the last of them without one station."""
    targets = ["air_temperature_c", "precipitation_mm", "wind_speed_m_s"]
    settings = small_settings(tmp_path_factory.mktemp("cookbook"), targets=targets)
    with_champion(settings)
    later = TRAINED_AT + 3 * DAY
    ingest_source(settings, settings.sources[0], later)
    for hours in (0, 9, 24, 48, 60):
        now = TRAINED_AT + hours * HOUR
        issue_forecasts(settings, now, stations=["S0001", "S0002", "S0004"] if hours == 60 else [])
    verify_forecasts(settings, later)
    return publish_tables(settings, later)


@pytest.fixture(scope="module")
def slow(published: Path) -> SlowAnswers:
    return SlowAnswers(**{table: query_published(published, f"from {table}").to_dicts() for table in TABLES})


@pytest.mark.parametrize(("name", "limit"), CASES)
def test_a_question_is_answered_as_by_hand(name: str, limit: float | None, published: Path, slow: SlowAnswers) -> None:
    text = (sql_folder() / "cookbook" / f"{name}.sql").read_text()
    if limit is not None:
        shown, _ = LIMITS[name]
        assert text.count(shown) == 1
        text = text.replace(shown, f"{limit})")
    answer = query_published(published, text)
    expected = getattr(slow, name)(*([] if limit is None else [limit]))
    assert answer.height == len(expected)
    for row, wanted in zip(answer.rows(), expected, strict=True):
        assert len(row) == len(wanted)
        for got, want in zip(row, wanted, strict=True):
            assert got == (pytest.approx(want, abs=1e-9) if isinstance(want, float) else want)
    if limit != 17.2:
        assert expected, "an empty answer proves nothing"


def test_there_are_ten_questions_and_each_file_begins_with_its_own() -> None:
    assert len(FILES) == 10
    assert all("?" in leading_comment(path.read_text()) for path in FILES)
