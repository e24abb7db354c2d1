"""Blocks of stations on threads and on dask's workers: the same blocks give the same bits, whoever computes them or dies."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from prefect import flow
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    PREFECT_LOGGING_TO_API_ENABLED,
    temporary_settings,
)

from daycast.errors import ConfigError, DaycastError, WorkerError
from daycast.flows.map_blocks import mapping_blocks
from daycast.settings import Settings, load_settings
from daycast.steps.forecast import issue_forecasts
from daycast.steps.ingest import ingest_source
from daycast.times import HOUR, parse_time
from integration.chain.conftest import UNTIL

pytestmark = pytest.mark.slow


def small(runner: str) -> Settings:
    return Settings.model_validate({"compute": {"task_runner": runner, "workers": 2}})


@pytest.fixture(scope="module")
def _server(environment):
    here = {
        PREFECT_API_URL: environment["PREFECT_API_URL"],
        PREFECT_API_AUTH_STRING: environment["PREFECT_API_AUTH_STRING"],
        PREFECT_LOGGING_TO_API_ENABLED: False,
    }  # it ends before we do
    with temporary_settings(here):
        yield


@flow
def an_hour_later(settings: Settings) -> dict[str, pl.DataFrame]:
    """Ingest and forecast; returns what the tables say."""
    now = parse_time(UNTIL) + HOUR
    with mapping_blocks(settings) as map_blocks:
        ingest_source(settings, settings.sources[0], now, map_blocks=map_blocks)
        issue_forecasts(settings, now, map_blocks=map_blocks)
    with settings.warehouse.write(now) as con:
        tables = {
            name: con.sql(f"from {name} order by all").to_arrow_table()
            for name in ("forecasts", "observation_versions")
        }
    return {name: pl.DataFrame(pl.from_arrow(table)) for name, table in tables.items()}


def in_a_copy(chain: Path, folder: Path, compute: str) -> Settings:
    shutil.copytree(chain, folder, dirs_exist_ok=True)
    with (folder / "daycast.toml").open("a") as config:
        config.write(f"[compute]\n{compute}\n")
    return load_settings(str(folder / "daycast.toml"))


@pytest.fixture(scope="module")
def in_blocks(_server, chain, tmp_path_factory):
    """Blocks of two stations, one after the other in this process."""
    return an_hour_later(in_a_copy(chain, tmp_path_factory.mktemp("blocks"), "block_stations = 2"))


@pytest.mark.parametrize("runner", ["thread", "dask"])
def test_the_same_blocks_give_the_same_forecasts_and_flags_to_the_bit_whoever_computes_them(
    in_blocks, runner, chain, tmp_path
):
    if runner == "dask":
        pytest.importorskip("prefect_dask", reason="pip install 'daycast[dask]'")
    compute = f'task_runner = "{runner}"\nworkers = 2\nblock_stations = 2'
    map_blocks = an_hour_later(in_a_copy(chain, tmp_path, compute))
    for name, table in in_blocks.items():
        assert len(table) > 0
        assert_frame_equal(map_blocks[name], table, check_exact=True)


def test_blocks_of_another_size_give_the_same_rows_and_flags_and_the_same_values_but_for_rounding(
    in_blocks, chain, tmp_path
):
    """Other shapes may have other kernels, whose sums round otherwise. Keys, regimes and flags are compared exactly."""
    at_once = an_hour_later(in_a_copy(chain, tmp_path, ""))
    for name, table in in_blocks.items():
        assert_frame_equal(at_once[name], table, rel_tol=1e-5, abs_tol=1e-4)


def double(number: int) -> int:
    return 2 * number


def double_but_die_once(block: tuple[Path, int]) -> int:
    """The number doubled; the first time for 1, this process is killed."""
    folder, number = block
    if number == 1 and not (folder / "died").exists():
        (folder / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * number


def fail(_: int) -> int:
    raise ConfigError("the very words")


def die(_: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


@flow
def attempt(settings: Settings, *works: tuple[Callable, list]) -> list:
    """What comes of each work, or the error that it ends with."""
    ends: list = []
    with mapping_blocks(settings) as map_blocks:
        for compute, blocks in works:
            try:
                ends.append(list(map_blocks(compute, blocks)))
            except DaycastError as error:
                ends.append(error)
    return ends


@pytest.fixture(scope="module")
def on_dask(_server, tmp_path_factory):
    """What comes of a worker that dies once, of an error, and of a block that no worker survives."""
    pytest.importorskip("prefect_dask", reason="pip install 'daycast[dask]'")
    folder = tmp_path_factory.mktemp("dask")
    ends = attempt(
        small("dask"), (double_but_die_once, [(folder, number) for number in range(11)]), (fail, [1, 2]), (die, [1, 2])
    )
    assert (folder / "died").exists()
    return ends


@pytest.mark.usefixtures("_server")
def test_on_threads_results_come_in_the_order_of_the_blocks_and_errors_as_they_were():
    results, error = attempt(small("thread"), (double, list(range(11))), (fail, [1, 2]))
    assert results == list(range(0, 22, 2))
    assert (type(error), str(error)) == (ConfigError, "the very words")


def test_what_a_killed_worker_had_is_computed_by_others_and_comes_in_order(on_dask):
    assert on_dask[0] == list(range(0, 22, 2))


def test_what_a_block_raises_on_a_worker_is_raised_as_it_was(on_dask):
    assert (type(on_dask[1]), str(on_dask[1])) == (ConfigError, "the very words")


def test_a_block_that_no_worker_survives_ends_the_run_and_says_so(on_dask):
    assert isinstance(on_dask[2], WorkerError)
    assert str(on_dask[2]).startswith("a block was lost with its worker more than once")


@pytest.mark.usefixtures("_server")
def test_a_scheduler_that_does_not_answer_is_named_once_there_is_more_than_one_block_to_compute():
    dask = pytest.importorskip("dask", reason="pip install 'daycast[dask]'")
    away = Settings.model_validate({"compute": {"task_runner": "dask", "dask_address": "tcp://127.0.0.1:9"}})
    with dask.config.set({"distributed.comm.timeouts.connect": "1s"}):
        alone, error = attempt(away, (double, [1]), (double, [1, 2]))
    assert alone == [2]
    assert str(error).startswith("no dask scheduler answers at tcp://127.0.0.1:9")
