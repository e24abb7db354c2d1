"""Every question of the cookbook is answered as a slow and obvious computation on the bare tables answers it."""

from pathlib import Path

import pytest

from daycast.__main__ import build_parser
from daycast.warehouse.publish.query import query_published
from daycast.warehouse.statements import leading_comment, sql_folder
from integration.slow_answers import SlowAnswers
from integration.young_network import publish_young_network

pytestmark = pytest.mark.slow

FILES = sorted((sql_folder() / "cookbook").glob("*.sql"))
LIMITS = {"frost_tonight": ("0)", (0.0, 3.0)), "gale_ahead": ("17.2)", (17.2, 4.0)), "heat_ahead": ("30)", (30.0, 2.0))}
CASES = [(path.stem, limit) for path in FILES for limit in LIMITS.get(path.stem, ("", (None,)))[1]]
TABLES = ("stations", "observation_versions", "models", "forecasts", "scores")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publish_young_network(tmp_path_factory.mktemp("cookbook"))


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


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_can_be_handed_to_the_command_line_as_it_is(path: Path) -> None:
    """Though it begins with two dashes, as options do."""
    assert build_parser().parse_args(["sql", path.read_text(), "--format", "csv"]).query == path.read_text()
