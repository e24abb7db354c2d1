"""The field's words stay: none of the retired private words comes back as a name in the code."""

import io
import re
import tokenize
from pathlib import Path

import pytest

from daycast.model.config import OLD_NAMES

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "src").rglob("*.py")) + sorted((ROOT / "flows").glob("*.py"))
RETIRED = {  # the word that came instead
    "Lesson": "TrainingData",
    "lesson": "training_data",
    "Course": "TrainState",
    "course": "train_state",
    "Circumstances": "TrainContext",
    "circumstances": "context",
    "weight_average": "ema_decay",
    "teacher_share": "teacher_forcing_ratio",
    "long_memory": "chrono_init",
    "hidden_share": "input_dropout",
    "longest_minutes": "max_minutes",
    "Chance": "Generator",
    "side_by_side": "parallel",
    "freed_memory": "malloc_trim",
    "track_record": "hindcasts",
    "disturbed": "masked",
    "what_came": "targets",
    "came": "target",
    "recalibrate": "calibrate",
    "calibration_rows": "calibration",
    "Network": "Panel, SimulationConfig",
    "spread": "map_blocks, quantile_steps, std",
    "Spread": "MapBlocks",
    "present": "clock, strip_missing",
    "Outlook": "ExternalForecast",
    "outlook": "external_forecast",
    "Releases": "ExternalForecastIndex",
    "Covariates": "ExternalForecasts",
    "covariates": "external_forecasts",
    "take_in": "load",
    "Intake": "LoadConfig",
    "Delivery": "SourceBatch",
    "news": "new_readings",
    "keep_news": "deduplicate",
    "refusals": "rejections",
    "dropped_file": "inbox_file",
    "past_checks": "temporal",
    "together_checks": "consistency",
    "verdicts": "flag_table",
    "known_then": "as_of",
    "KnownThen": "AsOfGrid",
    "lowest": "valid_min",
    "highest": "valid_max",
    "over_the_hour": "cell_method",
    "judge": "evaluate",
    "judgement": "holdout",
    "Substitute": "Fallback",
    "substitutes": "fallbacks",
    "growing": "append_only",
    "Growing": "AppendOnly",
    "former": "previous",
    "Former": "PreviousPublication",
    "without_checks": "strip_checks",
    "tidy_lake": "vacuum_lake",
    "Shelf": "StationYearStore",
    "Piece": "Request, Chunk",
    "Question": "RequestTemplate",
    "PassingError": "TransientError",
    "LastingError": "PermanentError",
    "watchdog": "deadline",
    "Watchdog": "Deadline",
    "guard": "reaper",
    "own_server": "ephemeral_server",
    "OwnServer": "EphemeralServer",
    "open_warehouse": "Warehouse.read, Warehouse.write",
}
ALLOWED = {  # where such a word is one of the field, or of Python
    "evaluation/significance.py": {"lowest"},
    "model/config.py": set(OLD_NAMES),
}


def names_of(path: Path) -> set[str]:
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text()).readline)
    return {token.string for token in tokens if token.type == tokenize.NAME}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_retired_word_is_a_name(path: Path) -> None:
    allowed = next((words for end, words in ALLOWED.items() if str(path).endswith(end)), set())
    found = sorted(names_of(path) & set(RETIRED) - allowed)
    assert not found, [f"{word}: write {RETIRED[word]}" for word in found]


def test_no_module_or_folder_bears_a_retired_word() -> None:
    parts = {part.removesuffix(".py") for path in FILES for part in path.relative_to(ROOT).parts}
    assert not parts & set(RETIRED)


def test_no_statement_and_no_table_bears_one() -> None:
    kept_for_one_version = {"covariates", "judgements", "substitutes"}
    for path in (ROOT / "sql").rglob("*.sql"):
        if path.parent.name == "migrations" or path.stem in kept_for_one_version:
            continue
        words = set(re.findall(r"[a-z_]+", re.sub(r"--.*|'[^']*'", "", path.read_text())))
        assert not words & {"covariates", "judgements", "substitutes", "refusals", "news"}, path
