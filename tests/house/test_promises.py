"""The guide's promises, and the tests that hold each of them: a promise without a test is a wish."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROMISES = {
    "Nothing from the future.": [
        "integration/test_no_leak.py",
        "unit/model/test_fit.py",
        "unit/quality/test_as_of.py",
        "unit/features/test_splits.py",
        "integration/chain/test_until.py",
        "integration/chain/test_until_at_first.py",
        "integration/test_backfill.py::test_the_champion_before_stands_in_for_one_whose_checkpoint_is_gone_and_none_that_came_later",
        "unit/model/linear/test_external_correction.py",
    ],
    "Intervals that mean what they say.": [
        "integration/test_recalibration.py",
        "unit/model/calibration/test_conformal.py::test_intervals_of_the_wrong_width_are_set_right",
        "unit/evaluation/test_scores.py",
    ],
    "Nothing lost, nothing half written.": [
        "integration/test_ingest.py::test_delivered_is_kept_and_refused",
        "integration/test_ingest.py::test_a_refused_row_is_quarantined_as_it_came_with_each_reason",
        "integration/test_atomic_write.py",
        "integration/test_wrong_clock.py",
        "integration/test_large_files.py",
        "soak/test_random_faults.py",
        "soak/test_year.py",
        "integration/chain/test_killed_run.py::test_a_run_killed_at_six_points_and_run_again_gives_the_tables_of_an_undisturbed_run",
        "integration/test_publish.py::test_what_a_killed_publication_left_behind_is_cleared_away",
        "integration/test_killed.py",
    ],
    "A forecast every hour.": [
        "integration/test_links.py",
        "integration/test_slow_source.py",
        "integration/test_heartbeat.py",
        "integration/chain/test_by_itself.py",
        "soak/test_year.py",
    ],
    "No secret is said.": [
        "unit/test_redact.py",
        "integration/test_one_line.py::test_a_secret_in_the_wrong_place_is_never_shown",
        "house/test_messages.py",
    ],
    "Never knowingly a worse forecast.": [
        "unit/evaluation/test_gain.py",
        "unit/evaluation/test_promotion.py",
        "unit/evaluation/test_fallbacks.py",
        "integration/test_serving.py",
    ],
    "Nobody gets in.": [
        "integration/chain/test_access.py",
        "integration/test_hostile_parameters.py",
    ],
}


def promises_of_the_guide() -> list[str]:
    """The bold beginnings of the list below "What it promises"."""
    page = (ROOT / "src" / "daycast" / "guide" / "promises.md").read_text(encoding="utf-8")
    section = page.partition("## What it promises\n")[2].partition("\n## ")[0]
    return re.findall(r"^- \*\*(.+?)\*\*", section, flags=re.MULTILINE)


def test_every_promise_of_the_guide_has_tests_and_no_other_has():
    assert promises_of_the_guide() == list(PROMISES)


@pytest.mark.parametrize("test", [test for tests in PROMISES.values() for test in tests])
def test_every_test_that_holds_a_promise_exists(test):
    path, _, name = test.partition("::")
    tree = ast.parse((ROOT / "tests" / path).read_text(encoding="utf-8"))
    names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}
    assert name in names if name else names
