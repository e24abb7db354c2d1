"""How runs are named, when a task is repeated, and that nothing waits in vain for the end of a run that had nothing to do."""

import json
import logging
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from prefect.client.schemas.objects import State
from prefect.exceptions import CancelledRun
from prefect.states import Failed

from daycast.errors import ConfigError, ModelError, SourceError, WarehouseError
from daycast.flows import OneLine, retrain, runs, warehouse_task
from daycast.flows.runs import PLAN_FAILED, PLANNED, SKIPPED, named
from daycast.model.config import ModelConfig
from daycast.steps import train
from daycast.times import parse_time

ROOT = Path(__file__).parents[2]
DEPLOYMENTS = yaml.safe_load((ROOT / "infra" / "prefect.yaml").read_text())["deployments"]
NOW = parse_time("2026-11-28T10:05:30Z")


@pytest.mark.parametrize(
    ("flow", "what", "full_hour", "given", "name"),
    [
        ("forecast", (), True, {}, "forecast 2026-11-28T10Z"),
        ("forecast", (), True, {"issued_at": "2026-05-01T06:00Z"}, "forecast 2026-05-01T06Z"),
        ("forecast", (), True, {"until": "2026-05-01T08:30+02:00"}, "forecast 2026-05-01T06Z"),
        ("forecast", (), True, {"dry_run": True}, "dry run: forecast 2026-11-28T10Z"),
        ("ingest", ("source",), False, {"source": None, "since": None}, "ingest 2026-11-28T10:05Z"),
        ("ingest", ("source",), False, {"source": "garden"}, "ingest garden 2026-11-28T10:05Z"),
        ("retrain", ("cell",), False, {"cell": "lstm", "dry_run": False}, "retrain lstm 2026-11-28T10:05Z"),
        (
            "backfill",
            (),
            False,
            {"since": "2026-11-20", "until": "2026-11-21T12:00", "dry_run": True},
            "dry run: backfill 2026-11-20T00Z to 2026-11-21T12Z",
        ),
        ("backfill", (), False, {"since": "2026-11-20"}, "backfill 2026-11-20T00Z to 2026-11-28T10:05Z"),
        ("backfill", (), False, {"since": "yesterday"}, "backfill yesterday to 2026-11-28T10:05Z"),
    ],
)
def test_a_run_is_named_for_what_it_does(monkeypatch, flow, what, full_hour, given, name):
    monkeypatch.setattr(runs, "flow_run", SimpleNamespace(parameters=given))
    monkeypatch.setattr(runs, "clock", lambda: NOW)
    assert named(flow, *what, full_hour=full_hour)() == name


def test_what_one_run_does_after_another_has_a_name_that_says_it():
    """Prefect's pages name it beside each run that it started."""
    names = [trigger["name"] for one in DEPLOYMENTS for trigger in one.get("triggers", [])]
    assert len(names) == len(set(names)) == 5
    assert all(name.startswith("daycast: ") for name in names)


def test_every_deployment_says_in_a_sentence_what_it_does():
    """On its page; else Prefect shows the docstring, each of its lines as a paragraph."""
    for one in DEPLOYMENTS:
        assert re.fullmatch(r"[A-Z][^\n]{20,150}\.", one["description"]), one["name"]


@pytest.mark.parametrize(
    ("step", "given", "name"),
    [
        ("ingest_source", {"source": SimpleNamespace(name="garden")}, "ingest_source garden"),
        ("publish_tables", {"settings": None}, "publish_tables"),
    ],
)
def test_a_run_of_a_task_is_named_for_the_step_and_its_source(step, given, name):
    def do() -> None: ...

    do.__name__ = step
    assert warehouse_task.warehouse_task(do).task_run_name(parameters=given) == name


@pytest.mark.parametrize(
    ("error", "in_a_run", "dry", "ends"),
    [
        (SourceError("source garden is silent"), True, False, ("Failed", "source garden is silent")),
        (SourceError("source garden is silent"), True, True, ("PlanFailed", "source garden is silent")),
        (KeyError("stage"), True, True, ("PlanFailed", "KeyError: 'stage'")),
        (KeyError("stage"), True, False, None),  # unexpected: its traceback belongs into the log
        (SourceError("source garden is silent"), False, False, None),  # called by hand
    ],
)
def test_a_run_that_fails_ends_with_the_line_of_its_error(monkeypatch, error, in_a_run, dry, ends):
    def flow() -> None:
        raise error

    monkeypatch.setattr(runs, "flow_run", SimpleNamespace(parameters={"dry_run": dry}))
    monkeypatch.setattr(runs, "_find_other", lambda: None)
    monkeypatch.setattr(runs.FlowRunContext, "get", lambda: object() if in_a_run else None)
    if ends is None:
        with pytest.raises(type(error)):
            runs.alone(flow)()
    else:
        state = runs.alone(flow)()
        assert (state.name, state.message, state.data) == (*ends, error)


@pytest.mark.parametrize(
    ("said", "error", "shown"),
    [
        ("Task run failed", SourceError("silent"), "Task run failed"),
        ("Encountered exception", CancelledRun("at work"), "Encountered exception"),
        ("Engine execution exited with unexpected exception", SourceError("silent"), ""),
        ("Engine execution exited with unexpected exception", CancelledRun("at work"), ""),
        ("Engine execution exited with unexpected exception", KeyError("stage"), "KeyError: 'stage'"),
        ("Finished in state Completed()", None, "Finished"),
    ],
)
def test_the_log_of_a_run_says_an_expected_error_in_one_line(said, error, shown):
    exc_info = (type(error), error, None) if error else None
    record = logging.LogRecord("prefect.flow_runs", logging.ERROR, "", 0, said, (), exc_info)
    text = logging.Formatter().format(record) if OneLine().filter(record) else ""
    assert shown in text
    assert bool(text) == bool(shown)
    assert ("stage" in text) == isinstance(error, KeyError)
    assert "silent" not in text


def test_who_waits_for_the_end_of_any_run_knows_every_name_that_an_end_has():
    automations = json.loads((ROOT / "infra" / "automations.json").read_text())
    names = {f"prefect.flow-run.{name}" for name in (PLANNED, PLAN_FAILED, SKIPPED)}
    for one in automations:
        if one["actions"][0]["type"] == "change-flow-run-state":
            assert names <= set(one["trigger"]["expect"]), one["name"]
        else:
            assert not names & set(one["trigger"]["expect"]), one["name"]


def test_a_run_whose_process_is_lost_is_crashed_wherever_it_was():
    """Before it began, before its first heartbeat, and after any: else no run of its flow would ever begin again."""
    automations = json.loads((ROOT / "infra" / "automations.json").read_text())
    watched = [one["trigger"] for one in automations if one["actions"][0].get("state") == "CRASHED"]
    assert {name.rpartition(".")[2] for one in watched for name in one["after"]} == {"Pending", "Running", "heartbeat"}
    for one in watched:
        assert (one["posture"], one["for_each"]) == ("Proactive", ["prefect.resource.id"])


@pytest.mark.parametrize(
    ("ends", "outcome"),
    [
        (["COMPLETED"], "trained"),
        (["CRASHED", "COMPLETED"], "trained"),
        (["CRASHED", "CRASHED"], "ended CRASHED"),
        (["CRASHED", "FAILED"], "ended FAILED"),
        (["FAILED"], "ended FAILED"),  # it would fail again
        (["CANCELLED"], "ended CANCELLED"),  # somebody did not want it
    ],
)
def test_a_fit_whose_worker_dies_is_started_once_more(monkeypatch, tmp_path, ends, outcome):
    left, asked = list(ends), []

    def run_deployment(name: str, parameters: dict) -> SimpleNamespace:
        asked.append((name, parameters))
        kind = left.pop(0)
        if kind == "COMPLETED":
            place.touch()
        return SimpleNamespace(name="it", state=State(type=kind, name=kind))

    config = ModelConfig()
    place = train.place_checkpoint(tmp_path / "snapshot", tmp_path, {}, config)
    monkeypatch.setattr(retrain, "run_deployment", run_deployment)
    try:
        assert retrain.fit_by_worker("gpu", tmp_path / "snapshot", tmp_path, {}, config) == place
        said = "trained"
    except ModelError as error:
        said = str(error)
    assert outcome in said
    assert [name for name, _ in asked] == ["fit/gpu"] * len(ends)
    assert all(parameters == asked[0][1] for _, parameters in asked)  # so that the second one resumes the first


@pytest.mark.parametrize(
    ("error", "minutes", "of_a_worker", "is_repeated"),
    [
        (SourceError("no answer").passing(), 1, True, True),
        (WarehouseError("the lake does not answer").passing(), 1, True, True),
        (SourceError("no answer").passing(), 1, False, False),  # in a terminal
        (SourceError("no answer").passing(), 4, True, False),  # what follows has waited long enough
        (SourceError("no such column"), 1, True, False),
        (ConfigError("no such station"), 1, True, False),
        (KeyError("stage"), 1, True, False),
    ],
)
def test_a_task_is_repeated_where_the_error_may_pass(monkeypatch, error, minutes, of_a_worker, is_repeated):
    monkeypatch.delenv("PREFECT__FLOW_RUN_ID", raising=False)
    if of_a_worker:
        monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "1")
    task = warehouse_task.warehouse_task(parse_time)
    run = SimpleNamespace(start_time=datetime.now(UTC) - timedelta(minutes=minutes))
    assert task.retries == len(task.retry_delay_seconds) == 2
    assert task.retry_condition_fn(task, run, Failed(data=error)) == is_repeated
