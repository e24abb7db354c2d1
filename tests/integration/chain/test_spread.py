"""Blocks of stations on threads and on dask's workers: what comes out is that of one process, to the bit, whoever dies."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from prefect import flow
from prefect.settings import PREFECT_API_URL, temporary_settings

from daycast.errors import ConfigError, DaycastError, WorkerError
from daycast.flows.spread import spreading
from daycast.settings import Settings
from integration.chain.conftest import UNTIL


def small(runner: str) -> Settings:
    return Settings.model_validate({"compute": {"task_runner": runner, "workers": 2}})


@pytest.fixture(params=["thread", "dask"])
def runner(request) -> str:
    if request.param == "dask":
        pytest.importorskip("prefect_dask", reason="pip install 'daycast[dask]'")
    return request.param


def forecasts(folder: Path) -> pl.DataFrame:
    with duckdb.connect(folder / "data" / "warehouse.duckdb", read_only=True) as con:
        con.execute("set TimeZone = 'UTC'")
        table = con.execute("select * exclude created_at from forecasts").to_arrow_table()
    return pl.DataFrame(pl.from_arrow(table)).sort("issued_at", "station_id", "variable", "lead_hours")


def test_forecasts_of_blocks_are_those_of_one_process_to_the_bit(runner, daycast, chain, tmp_path):
    shutil.copytree(chain, tmp_path, dirs_exist_ok=True)
    with (tmp_path / "daycast.toml").open("a") as config:
        config.write(f'[compute]\ntask_runner = "{runner}"\nworkers = 2\nblock_stations = 2\n')
    with duckdb.connect(tmp_path / "data" / "warehouse.duckdb") as con:
        con.execute("delete from forecasts")
    done = daycast(tmp_path, "forecast", "--until", UNTIL)
    assert (done.returncode, "distributed" in done.stderr) == (0, False), done.stderr
    expected = forecasts(chain)
    assert len(expected) > 0
    assert_frame_equal(forecasts(tmp_path), expected, check_exact=True)


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
    with spreading(settings) as spread:
        for compute, blocks in works:
            try:
                ends.append(list(spread(compute, blocks)))
            except DaycastError as error:
                ends.append(error)
    return ends


@pytest.fixture(scope="module")
def _server(environment):
    with temporary_settings({PREFECT_API_URL: environment["PREFECT_API_URL"]}):
        yield


@pytest.fixture(scope="module")
def on_dask(_server, tmp_path_factory):
    """What comes of a worker that dies once, of an error, and of a block that no worker survives."""
    pytest.importorskip("prefect_dask", reason="pip install 'daycast[dask]'")
    folder = tmp_path_factory.mktemp("dask")
    ends = attempt(
        small("dask"), (double_but_die_once, [(folder, number) for number in range(11)]), (fail, [1]), (die, [1])
    )
    assert (folder / "died").exists()
    return ends


@pytest.mark.usefixtures("_server")
def test_on_threads_results_come_in_the_order_of_the_blocks_and_errors_as_they_were():
    results, error = attempt(small("thread"), (double, list(range(11))), (fail, [1]))
    assert results == list(range(0, 22, 2))
    assert (type(error), str(error)) == (ConfigError, "the very words")


def test_what_a_killed_worker_had_is_computed_by_others_and_comes_in_order(on_dask):
    assert on_dask[0] == list(range(0, 22, 2))


def test_what_a_block_raises_on_a_worker_is_raised_as_it_was(on_dask):
    assert (type(on_dask[1]), str(on_dask[1])) == (ConfigError, "the very words")


def test_a_block_that_no_worker_survives_ends_the_run_and_says_so(on_dask):
    assert isinstance(on_dask[2], WorkerError)
    assert str(on_dask[2]).startswith("a block was lost with its worker, more than once")


@pytest.mark.usefixtures("_server")
def test_a_scheduler_that_does_not_answer_is_named():
    dask = pytest.importorskip("dask", reason="pip install 'daycast[dask]'")
    away = Settings.model_validate({"compute": {"task_runner": "dask", "dask_address": "tcp://127.0.0.1:9"}})
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(WorkerError, match=r"127\.0\.0\.1:9"),
    ):
        attempt(away)
