"""Workers of `daycast up` start one process for a run, in a group of its own, and load no flow when one crashes."""

import asyncio
import sys
from types import SimpleNamespace

import pytest
from prefect.workers import process

from daycast.service import worker


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The arguments that Prefect gets; what `main` changes in Prefect is undone after the test."""
    given = list[str]()
    for name in ("EngineCommandStarter", "load_flow_from_flow_run"):
        monkeypatch.setattr(process, name, getattr(process, name))
    monkeypatch.setattr(process.ProcessWorker, "job_configuration", process.ProcessWorker.job_configuration)
    monkeypatch.setattr(worker, "app", lambda: given.extend(sys.argv[1:]))
    monkeypatch.setattr(sys, "argv", ["worker", "start", "--pool", "cpu"])
    worker.main()
    return given


def test_prefect_starts_it_as_it_would_start_its_own(started: list[str]) -> None:
    assert started == ["worker", "start", "--pool", "cpu"]


@pytest.mark.usefixtures("started")
def test_the_process_of_a_run_is_the_run_itself_in_a_group_of_its_own() -> None:
    configuration = process.ProcessWorker.job_configuration()
    configuration.prepare_for_flow_run(SimpleNamespace(id="r", name="n", tags=[], work_queue_name=None))
    assert configuration._command_configured
    assert configuration.command.endswith("-m prefect.engine")
    assert process.EngineCommandStarter(command="python")._isolate_process_group


@pytest.mark.usefixtures("started")
def test_no_flow_is_loaded_for_hooks_because_there_are_none() -> None:
    flow = asyncio.run(process.load_flow_from_flow_run(None))
    assert (flow.on_crashed_hooks, flow.on_cancellation_hooks) == ([], [])
