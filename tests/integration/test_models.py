"""The register of models: one champion at a time, and a way back."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import polars as pl
import pytest

from daycast.errors import ModelError
from daycast.evaluation.serving import Fallback
from daycast.times import DAY
from daycast.warehouse.models import (
    ModelEntry,
    find_model,
    promote_model,
    read_champion,
    read_champions_until,
    read_fallbacks,
    read_holdout_scores,
    read_models,
    register_model,
    rollback_model,
)
from daycast.warehouse.warehouse import Warehouse

NOW = datetime(2026, 2, 1, tzinfo=UTC)


@pytest.fixture
def con(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with Warehouse(tmp_path / "warehouse.duckdb", []).write(NOW) as con:
        yield con


def register(
    con: duckdb.DuckDBPyConnection,
    name: str,
    day: int,
    *,
    promote: bool,
    crps: float = 1.0,
    fallbacks: tuple[Fallback, ...] = (),
) -> None:
    at = NOW + day * DAY
    entry = ModelEntry(name, "gru", f"{name}.safetensors", "hash", NOW, at, "because", "{}")
    judged = pl.DataFrame(
        {
            "forecaster": ["gru"],
            "variable": ["v"],
            "lead_hours": [1],
            "since": [NOW],
            "until": [at],
            "n": [5],
            "crps": [crps],
        }
    )
    register_model(con, entry, judged, fallbacks, promote=promote)


def roles(con: duckdb.DuckDBPyConnection) -> dict[str, str]:
    return dict(read_models(con).select("model_id", "role").iter_rows())


def test_before_anything_is_registered_there_is_no_champion(con: duckdb.DuckDBPyConnection) -> None:
    assert read_champion(con) is None
    with pytest.raises(ModelError, match="there is no model 'a'; registered are: none"):
        find_model(con, "a")


def test_a_promotion_retires_the_champion_and_a_challenger_does_not(con: duckdb.DuckDBPyConnection) -> None:
    register(con, "a", 0, promote=True)
    register(con, "b", 1, promote=False)
    assert roles(con) == {"a": "champion", "b": "challenger"}
    register(con, "c", 2, promote=True)
    assert roles(con) == {"a": "retired", "b": "challenger", "c": "champion"}
    assert read_champion(con).model_id == "c"
    assert read_champion(con).promoted_at == NOW + 2 * DAY
    assert read_champion(con).promoted_by == "holdout"


def test_a_rollback_brings_the_champion_before_back_and_another_one_undoes_it(con: duckdb.DuckDBPyConnection) -> None:
    for day, name in enumerate("abc"):
        register(con, name, day, promote=True)
    assert rollback_model(con, NOW + 5 * DAY) == "b"
    assert roles(con) == {"a": "retired", "b": "champion", "c": "retired"}
    assert rollback_model(con, NOW + 6 * DAY) == "c"


def test_a_rollback_never_goes_to_a_challenger(con: duckdb.DuckDBPyConnection) -> None:
    register(con, "a", 0, promote=False)
    register(con, "b", 1, promote=True)
    with pytest.raises(ModelError, match="no champion before this one"):
        rollback_model(con, NOW + 2 * DAY)
    assert roles(con) == {"a": "challenger", "b": "champion"}


def test_a_model_can_be_promoted_by_hand_and_only_one_that_is_there(con: duckdb.DuckDBPyConnection) -> None:
    register(con, "a", 0, promote=True)
    register(con, "b", 1, promote=False)
    promote_model(con, "b", NOW + 2 * DAY)
    assert roles(con) == {"a": "retired", "b": "champion"}
    with pytest.raises(ModelError, match="there is no model 'x'; registered are: a, b"):
        promote_model(con, "x", NOW)
    assert roles(con) == {"a": "retired", "b": "champion"}


def test_registering_again_replaces_the_model_and_its_judgement(con: duckdb.DuckDBPyConnection) -> None:
    first, second = (Fallback("v", station, "ridge", 0.9, 0.01, 50) for station in (None, "S1"))
    register(con, "b", 0, promote=False, fallbacks=(first,))
    register(con, "a", 0, promote=False, crps=1.0, fallbacks=(first,))
    register(con, "a", 1, promote=False, crps=2.0, fallbacks=(second, first))
    assert con.execute("select crps from holdout_scores where model_id = 'a'").fetchall() == [(2.0,)]
    assert read_holdout_scores(con, "a")["crps"].to_list() == [2.0]
    assert read_fallbacks(con, "a") == (first, second)
    assert read_fallbacks(con, "b") == (first,)
    con.execute("delete from models where model_id = 'b'")
    assert len(read_models(con)) == 1


def test_of_two_that_were_promoted_at_the_same_moment_the_later_one_is_champion_and_the_earlier_one_before_it(
    con: duckdb.DuckDBPyConnection,
) -> None:
    for name in ("z-first", "a-second"):
        register(con, name, 1, promote=True)
    assert [row.model_id for row in read_champions_until(con, NOW + DAY)] == ["a-second", "z-first"]
    assert rollback_model(con, NOW + 2 * DAY) == "z-first"
    assert rollback_model(con, NOW + 3 * DAY) == "a-second"
