"""`daycast up` on a small network that has a champion: schedules, both workers, what follows what, and a clean end.

Each test is a story told in steps on a server of its own: a step that fails is named below its traceback, and ends the story.
"""

import base64
import json
import logging
import os
import re
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import duckdb
import pytest
import yaml

from daycast.service.server import RefusedError
from daycast.steps.publish import publish_tables
from daycast.variables import BUILT_IN
from daycast.warehouse.warehouse import Warehouse
from integration.chain.tables import TABLES
from integration.conftest import small_settings
from integration.listener import listening
from integration.place import Place

ROOT = Path(__file__).parents[3]
DEPLOYMENTS = yaml.safe_load((ROOT / "infra" / "prefect.yaml").read_text())["deployments"]
MISSED = 2  # hours; each starts a process, which takes seconds
UNSAID = "b2f1c0ffee"  # the secret in the addresses that are told what happened
pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="this machine does not show its processes in /proc")


@pytest.fixture
def make_place(trained_once, tmp_path) -> Iterator[Callable[[str], Place]]:
    """Starts daycast on a network with a champion, of whose last days (as many as `history` says) nothing was ingested."""
    shutil.copytree(trained_once.settings.data, tmp_path / "data")
    with Warehouse(tmp_path / "data" / "warehouse.duckdb", BUILT_IN.values()).write(trained_once.at) as con:
        con.execute("delete from watermarks")

    with ExitStack() as stack:

        def start(history: str) -> Place:
            place = Place(tmp_path, history)
            place.listener = stack.enter_context(listening())
            place.environment["DAYCAST_ALERT_URL"] = f"{place.listener.url}/alert/{UNSAID}"
            place.environment["DAYCAST_HEARTBEAT_URL"] = f"{place.listener.url}/alive/{UNSAID}"
            stack.callback(place.end)
            place.up()
            return place

        yield start


def tell(place: Place, *steps: Callable[[Place], None]) -> None:
    """Take the steps in order; the error of one that fails names it."""
    for number, step in enumerate(steps, start=1):
        started = time.monotonic()
        try:
            step(place)
            print(f"{time.monotonic() - started:.0f} s: {step.__name__}")
        except BaseException as error:
            error.add_note(f"in step {number} of {len(steps)}, {step.__name__}: {step.__doc__}")
            raise


def test_missed_hours_are_made_up_for_and_a_forecast_and_its_publication_follow(make_place, tmp_path, trained_once):
    publish_tables(small_settings(tmp_path), trained_once.at)  # else `daycast up` begins with a pipeline
    tell(
        make_place("8d"),
        every_deployment_has_its_pool_and_every_cron_scheduled_runs,
        schedules_are_paused,
        hours_that_were_missed_are_made_up_for_by_one_run,
        a_forecast_and_its_publication_follow,
        each_run_left_its_summary_and_the_forecast_its_chart,
        down_leaves_no_process,
        no_secret_was_written,
    )


@pytest.mark.slow
def test_what_is_asked_for_by_hand_by_schedule_and_by_events_is_done(make_place):
    tell(
        make_place("80d"),
        schedules_are_paused,
        a_second_supervisor_is_refused,
        deploying_again_leaves_one_of_each,
        a_dry_run_starts_nothing,
        what_is_no_time_is_refused_before_a_run_exists,
        where_nothing_was_published_a_pipeline_ran_first,
        a_schedule_verifies_and_a_command_retrains_on_the_other_pool,
        a_failed_and_a_missing_forecast_are_told_to_the_webhook,
        a_worker_forecasts_missed_hours_and_says_what_else_would_happen,
        a_drift_has_the_model_trained_again,
        a_forecast_whose_process_is_killed_is_made_again,
        down_leaves_no_process,
        no_secret_was_written,
    )


@pytest.mark.slow
def test_runs_say_what_they_do_and_each_has_one_successor(make_place, tmp_path, trained_once):
    publish_tables(small_settings(tmp_path), trained_once.at)
    tell(
        make_place("8d"),
        schedules_are_paused,
        one_ingest_starts_one_forecast_and_that_one_publication_also_if_the_events_come_twice,
        runs_are_named_for_what_they_do,
        a_run_shows_our_log_lines_and_its_tasks,
        a_summary_links_to_the_other_artifacts_and_to_the_report,
        a_dry_run_is_not_cancelled_while_its_flow_is_at_work_and_changes_nothing,
        failures_of_a_flow_are_told_once,
        without_a_champion_an_hour_is_a_line,
        down_leaves_no_process,
        no_secret_was_written,
    )


def every_deployment_has_its_pool_and_every_cron_scheduled_runs(place: Place) -> None:
    """What is deployed is what infra/prefect.yaml says."""
    there = {(d["entrypoint"], d["name"]): d for d in place.server.call("/deployments/filter", {})}
    for wanted in DEPLOYMENTS:
        deployment = there.pop((wanted["entrypoint"], wanted["name"]))
        assert deployment["work_pool_name"] == wanted["work_pool"]["name"]
        crons = [each["schedule"]["cron"] for each in deployment["schedules"]]
        assert crons == [each["cron"] for each in wanted.get("schedules", [])]
        flow = wanted["entrypoint"].rpartition(".")[2]
        if crons:
            place.wait_until(lambda of=f"{flow}/{wanted['name']}": place.is_scheduled(of))
    assert not there


def schedules_are_paused(place: Place) -> None:
    """Else an hour or a day that strikes meanwhile has runs of its own."""
    for deployment in place.server.call("/deployments/filter", {}):
        place.server.call(f"/deployments/{deployment['id']}/pause_deployment", {})


def a_second_supervisor_is_refused(place: Place) -> None:
    """One folder, one supervisor."""
    again = place.run("up", "--detach")
    assert again.returncode == 1
    assert again.stderr.startswith("daycast: daycast is up already")
    assert f"up already (process {place.supervisor}" in again.stderr
    assert again.stdout.startswith("is up: open http://127.0.0.1:")
    assert "/enter#" in again.stdout


def deploying_again_leaves_one_of_each(place: Place) -> None:
    """`daycast deploy` onto a server that has everything doubles nothing."""

    def there() -> dict[str, list[str]]:
        kinds = ("deployments", "automations", "work_pools")
        return {kind: sorted(one["name"] for one in place.server.call(f"/{kind}/filter", {})) for kind in kinds}

    before = there()
    assert {deployment["name"] for deployment in DEPLOYMENTS} == set(before["deployments"])
    unnamed = place.run("deploy")
    assert (unnamed.returncode, unnamed.stderr.count("\n")) == (1, 1)
    assert "set PREFECT_API_URL" in unnamed.stderr
    place.environment["PREFECT_API_URL"] = place.url
    done = place.run("deploy")
    del place.environment["PREFECT_API_URL"]
    assert done.returncode == 0, done.stderr
    assert there() == before
    schedules_are_paused(place)  # which deploying has undone


def a_dry_run_starts_nothing(place: Place) -> None:
    """`daycast trigger --dry-run` only says what would run."""
    done = place.run("trigger", "backfill", "since=2026-02-01", "--dry-run")
    assert done.stdout == 'would run backfill in pool cpu with since="2026-02-01"\n'
    assert not place.runs("backfill/backfill")
    done = place.run("trigger", "retrain", "cell=lstm", "--dry-run")  # as the guide shows it
    assert done.stdout == 'would run retrain in pool cpu with cell="lstm"\n'


def what_is_no_time_is_refused_before_a_run_exists(place: Place) -> None:
    """By the command, and by the server for whoever comes past the command."""
    deployment = place.server.call("/deployments/name/backfill/backfill")["id"]
    for text in ("yesterday", "2026-02-01'; drop table forecasts; --", "../../2026-02-01"):
        refused = place.run("trigger", "backfill", f"since={text}", "--dry-run")
        assert refused.returncode == 1
        assert "ISO 8601" in refused.stderr
        with pytest.raises(RefusedError, match="does not match"):
            place.server.call(f"/deployments/{deployment}/create_flow_run", {"parameters": {"since": text}})
    assert not place.runs("backfill/backfill")


def hours_that_were_missed_are_made_up_for_by_one_run(place: Place) -> None:
    """Several runs of `ingest` come late, as if the workers had been away: one runs, within the slot of the warehouse."""
    place.server.call("/work_pools/cpu", {"is_paused": True}, "PATCH")
    ingest = place.server.call("/deployments/name/ingest/ingest")["id"]
    missed = [datetime.now(UTC) - timedelta(hours=hours) for hours in range(MISSED, 0, -1)]
    late = [{"type": "SCHEDULED", "state_details": {"scheduled_time": hour.isoformat()}} for hour in missed]
    made = {place.server.call(f"/deployments/{ingest}/create_flow_run", {"state": each})["id"] for each in late}
    place.server.call("/work_pools/cpu", {"is_paused": False}, "PATCH")
    place.wait_until(lambda: place.slots_held() == 1, every_s=0.1)

    def states() -> Counter:
        return Counter(run["state_type"] for run in place.runs("ingest/ingest") if run["id"] in made)

    place.wait_until(lambda: set(states()) <= {"COMPLETED", "CANCELLED", "FAILED", "CRASHED"})
    assert states() == {"COMPLETED": 1, "CANCELLED": MISSED - 1}


def a_forecast_and_its_publication_follow(place: Place) -> None:
    """By events; the heartbeat and the published file say so."""
    for each in ("forecast", "publish"):
        place.completed(f"{each}/{each}")
    assert ("GET", f"/alive/{UNSAID}", "") in place.listener.heard
    assert json.loads((place.folder / "data" / "heartbeat.json").read_text())["forecasts"] == 4 * 2 * 24
    rows = place.run("sql", "select count(*) as n from latest_forecasts", "--format", "csv")
    assert rows.stdout == f"n\n{4 * 2 * 24}\n"  # stations, targets, leads


def each_run_left_its_summary_and_the_forecast_its_chart(place: Place) -> None:
    """What the browser shows of a run."""
    for flow in ("ingest", "forecast", "publish"):
        assert place.artifacts(place.completed(f"{flow}/{flow}"))[f"{flow}-summary"]["type"] == "markdown", flow
    shown = place.artifacts(place.completed("forecast/forecast"))
    table = json.loads(shown["forecast-table"]["data"])
    stations = Counter()
    for row in table:  # one for each forecaster that serves the variable somewhere
        stations[row["variable"]] += row["stations"]
    assert stations == {"air_temperature_c": 4, "precipitation_mm": 4}
    kind, _, picture = shown["forecast-chart"]["data"].partition(",")
    assert kind == "data:image/svg+xml;base64"
    assert base64.b64decode(picture).startswith(b"<svg ")
    assert len(picture) < 50_000


def one_ingest_starts_one_forecast_and_that_one_publication_also_if_the_events_come_twice(place: Place) -> None:
    """The server gets the end of the ingest and of the forecast three times, also under other ids."""
    place.trigger("ingest")
    for flow, follower in (("ingest", "forecast"), ("forecast", "publish")):
        run = place.completed(f"{flow}/{flow}")
        place.completed(f"{follower}/{follower}")
        told = place.ends(run)
        assert len(told) == 1
        place.server.call("/events", told)
        place.server.call("/events", [told[0] | {"id": str(uuid4())}])
    place.hears_what_was_sent()
    assert {flow: len(place.runs(f"{flow}/{flow}")) for flow in ("ingest", "forecast", "publish")} == {
        "ingest": 1,
        "forecast": 1,
        "publish": 1,
    }


def runs_are_named_for_what_they_do(place: Place) -> None:
    """Flow and time, to the minute where the hour is not what counts."""
    ((forecast,), (ingest,), (publish,)) = (place.runs(f"{flow}/{flow}") for flow in ("forecast", "ingest", "publish"))
    hour = json.loads((place.folder / "data" / "heartbeat.json").read_text())["issued_at"]
    assert forecast["name"] == f"forecast {hour[:13]}Z"
    for flow, run in (("ingest", ingest), ("publish", publish)):
        assert re.fullmatch(rf"{flow} \d{{4}}-\d\d-\d\dT\d\d(:\d\d)?Z", run["name"])


def a_run_shows_our_log_lines_and_its_tasks(place: Place) -> None:
    """Also those that its tasks write; the log of the worker has them as well."""
    (ingest,), (forecast,) = place.runs("ingest/ingest"), place.runs("forecast/forecast")
    assert any("rows delivered" in line["message"] for line in place.log(ingest) if line["name"] == "daycast")
    tasks = place.server.call("/task_runs/filter", {"flow_runs": {"id": {"any_": [ingest["id"]]}}})
    assert sorted(task["name"] for task in tasks) == ["find_warnings", "ingest_source simulated"]
    lines = [line for line in place.log(forecast) if line["name"] == "daycast"]
    assert [line["message"] for line in lines if "forecasts issued at" in line["message"]]
    log = (place.home / "worker-cpu.log").read_text()
    assert "forecasts issued at" in log
    assert f"/runs/flow-run/{ingest['id']}\n" in log  # the address of its page


def a_summary_links_to_the_other_artifacts_and_to_the_report(place: Place) -> None:
    """By addresses that the browser can open."""
    (forecast,) = place.runs("forecast/forecast")
    shown = place.artifacts(forecast)
    summary, pages = shown["forecast-summary"]["data"], place.url.removesuffix("/api")
    for name, key in (("table", "forecast-table"), ("chart", "forecast-chart")):
        assert f"[{name}]({pages}/artifacts/artifact/{shown[key]['id']})" in summary
    (publish,) = place.runs("publish/publish")
    assert f"[report]({pages}/report)" in place.artifacts(publish)["publish-summary"]["data"]


def a_dry_run_is_not_cancelled_while_its_flow_is_at_work_and_changes_nothing(place: Place) -> None:
    """A real run is cancelled meanwhile. After the dry run come no publication and no end that a timer waits for."""
    tables, followers = everything_in(place), place.runs("publish/publish")
    deployment = place.server.call("/deployments/name/forecast/forecast")
    at_work = place.server.call("/flow_runs/", {"flow_id": deployment["flow_id"], "deployment_id": deployment["id"]})
    place.server.call(f"/flow_runs/{at_work['id']}/set_state", {"state": {"type": "RUNNING"}, "force": True})
    dry, real = place.trigger("forecast", "dry_run=true"), place.trigger("forecast")
    place.wait_until(lambda: {place.state(dry), place.state(real)} <= {"COMPLETED", "CANCELLED", "FAILED", "CRASHED"})
    place.server.call(f"/flow_runs/{at_work['id']}/set_state", {"state": {"type": "CANCELLED"}, "force": True})
    ended = {run: place.server.call(f"/flow_runs/{run}") for run in (dry, real)}
    assert (ended[dry]["state_name"], ended[real]["state_name"]) == ("Planned", "Cancelled")
    assert ended[dry]["name"].startswith("dry run: forecast ")
    assert ended[dry]["state"]["message"].startswith("would forecast ")
    assert [each["event"] for each in place.ends(ended[dry])] == ["prefect.flow-run.Planned"]
    place.hears_what_was_sent()
    assert place.runs("publish/publish") == followers
    assert everything_in(place) == tables


def failures_of_a_flow_are_told_once(place: Place) -> None:
    """The second one follows too soon to be told; the failure of another flow is told, and that of a dry run is not."""
    wrong = (
        ["forecast", "stations=plan", "dry_run=true"],
        *2 * [["ingest", "source=nowhere"]],
        ["forecast", "stations=nowhere"],
    )
    for arguments in wrong:
        ended = {"type": "CANCELLED"}
        while ended["type"] == "CANCELLED":  # it found another run at work
            run = place.trigger(*arguments)
            place.wait_until(lambda run=run: place.state(run) in {"COMPLETED", "CANCELLED", "FAILED", "CRASHED"})
            ended = place.server.call(f"/flow_runs/{run}")["state"]
        assert ended["type"] == "FAILED", f"{arguments}: {ended['name']}, {ended['message']}"
        lines = [line["message"] for line in place.log({"id": run}) if line["level"] >= logging.ERROR]
        assert "'nowhere'" in ended["message"] or "'plan'" in ended["message"]
        assert not ended["message"].startswith("Flow run encountered")
        assert not [line for line in lines if "\n" in line or "unexpected" in line]

    def told() -> list[str]:
        heard = [body for method, path, body in place.listener.heard if (method, path) == ("POST", f"/alert/{UNSAID}")]
        return sorted(json.loads(body)["text"] for body in heard)

    place.wait_until(lambda: len(told()) >= 2)
    place.hears_what_was_sent()
    forecast, ingest = told()
    assert re.fullmatch(r"daycast: the forecast \S+Z ended Failed: .*'nowhere'.*", forecast, re.DOTALL)
    assert re.fullmatch(r"daycast: the ingest nowhere \S+Z ended Failed: .*'nowhere'.*", ingest, re.DOTALL)


def without_a_champion_an_hour_is_a_line(place: Place) -> None:
    """The run ends well, in a state of its own, and none of its tasks has failed."""
    with Warehouse(place.folder / "data" / "warehouse.duckdb", BUILT_IN.values()).write(datetime.now(UTC)) as con:
        con.execute("update models set role = 'challenger'")
        con.execute("delete from promotions")
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    since = f"{now - timedelta(hours=2):%Y-%m-%dT%H:%MZ}"
    run = place.trigger("forecast")
    missed = place.trigger("backfill", f"since={since}", "dry_run=true")
    place.wait_until(lambda: {place.state(run), place.state(missed)} == {"COMPLETED"})
    states = {each: place.server.call(f"/flow_runs/{each}")["state"] for each in (run, missed)}
    assert states[run]["name"] == "Skipped"
    assert "there is no champion yet, `daycast retrain`" in states[run]["message"]
    assert states[missed]["message"].startswith("0 of 2 missed hours would be forecast")
    for each in (run, missed):
        tasks = place.server.call("/task_runs/filter", {"flow_runs": {"id": {"any_": [each]}}})
        assert {task["state_type"] for task in tasks} == {"COMPLETED"}


def everything_in(place: Place) -> dict[str, list[tuple]]:
    """Every table of the warehouse, also the log of runs."""
    with Warehouse(place.folder / "data" / "warehouse.duckdb", BUILT_IN.values()).read(datetime.now(UTC)) as con:
        return {table: rows(con, table) for table in (*TABLES, "runs")}


def rows(con: duckdb.DuckDBPyConnection, table: str) -> list[tuple]:
    return con.execute(f'select columns(*)::varchar from "{table}" order by all').fetchall()


def where_nothing_was_published_a_pipeline_ran_first(place: Place) -> None:
    """So that there are tables to look at soon after `daycast up`."""
    place.completed("pipeline/pipeline")
    rows = place.run("sql", "select count(*) as n from latest_forecasts", "--format", "csv")
    assert rows.stdout == f"n\n{4 * 2 * 24}\n"  # stations, targets, leads


def a_schedule_verifies_and_a_command_retrains_on_the_other_pool(place: Place) -> None:
    """`retrain` on the pool cpu has `fit` run on the pool gpu; all leave their summaries."""
    before = len(list((place.folder / "data" / "checkpoints").glob("*.safetensors")))
    soon = {"interval": 30, "anchor_date": datetime.now(UTC).isoformat()}
    verify = place.server.call("/deployments/name/verify/verify")
    (added,) = place.server.call(f"/deployments/{verify['id']}/schedules", [{"active": True, "schedule": soon}])
    place.server.call(f"/deployments/{verify['id']}/resume_deployment", {})
    place.trigger("retrain", "cell=lstm")
    verified = place.completed("verify/verify")
    assert verified["auto_scheduled"]
    place.server.call(f"/deployments/{verify['id']}/pause_deployment", {})
    place.server.call(f"/deployments/{verify['id']}/schedules/{added['id']}", method="DELETE")
    retrained, fitted = place.completed("retrain/retrain"), place.completed("fit/gpu")
    assert retrained["parameters"] == {"cell": "lstm"}
    assert fitted["work_pool_name"] == "gpu"
    assert len(list((place.folder / "data" / "checkpoints").glob("*.safetensors"))) == before + 1
    assert '"lstm-' in place.run("models", "list", "--format", "json").stdout
    for flow, run in (("verify", verified), ("retrain", retrained)):
        assert place.artifacts(run)[f"{flow}-summary"]["type"] == "markdown", flow
    said = [line["message"] for line in place.log(fitted) if line["name"] == "daycast"]
    assert any(re.match(r"training lstm \(1 of 1\): epoch 1 of at most \d+, loss ", line) for line in said), said
    bar = place.artifacts(fitted)["training"]
    assert (bar["type"], bar["data"], bar["description"]) == ("progress", 100.0, "Trained.")


def a_failed_and_a_missing_forecast_are_told_to_the_webhook(place: Place) -> None:
    """Each in one line, to the address that only the environment knows."""
    automations = {each["name"]: each for each in place.server.call("/automations/filter", {})}
    late = automations["daycast: a forecast is late"]
    late["trigger"]["within"] = 10  # seconds, not hours
    place.server.call("/automations/", {key: late[key] for key in ("name", "enabled", "trigger", "actions")})
    place.trigger("forecast", "stations=nowhere")

    wanted = {
        r"daycast: the forecast is late: none was made for three hours",
        r"daycast: the forecast \d{4}-\d\d-\d\dT\d\dZ ended Failed: .*no station 'nowhere'.*",
    }

    def told(pattern: str) -> bool:
        heard = [body for method, path, body in place.listener.heard if (method, path) == ("POST", f"/alert/{UNSAID}")]
        return any(re.fullmatch(pattern, json.loads(body)["text"], re.DOTALL) for body in heard)

    place.wait_until(lambda: all(told(pattern) for pattern in wanted))


def a_worker_forecasts_missed_hours_and_says_what_else_would_happen(place: Place) -> None:
    """By hand; a dry run changes nothing."""
    register = place.run("models", "list", "--format", "json").stdout
    (challenger, *_) = [row["model_id"] for row in json.loads(register) if row["role"] != "champion"]
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    since, until = (f"{now - timedelta(hours=back):%Y-%m-%dT%H:%MZ}" for back in (4, 2))
    assert place.run("trigger", "backfill", f"since={since}", f"until={until}").returncode == 0
    for each in (["promote", f"model_id={challenger}"], ["retrain", "epochs=3"]):
        done = place.run("trigger", *each, "dry_run=true")
        assert done.returncode == 0, done.stderr
    said = {}
    for flow in ("promote", "retrain"):
        run = place.completed(f"{flow}/{flow}", of=lambda run: run["parameters"].get("dry_run"))
        said[flow] = place.artifacts(run)[f"{flow}-summary"]["data"]
    assert said["promote"].startswith(f"{challenger} would be champion in place of ")
    assert said["retrain"].startswith("would train 1 networks (gru), at most 3 epochs each")
    assert place.run("models", "list", "--format", "json").stdout == register
    missed = json.loads(place.artifacts(place.completed("backfill/backfill"))["backfill-table"]["data"])
    assert len(missed) == 2
    assert all(row["forecast"].startswith("192 rows by ") for row in missed)
    refused = place.run("trigger", "retrain", "epochs=0")
    assert refused.returncode == 1
    assert "less than the minimum of 1" in refused.stderr


def a_drift_has_the_model_trained_again(place: Place) -> None:
    """The event that `verify` sends is enough."""
    resource = {"prefect.resource.id": "daycast.model.gru-1"}
    event = {"event": "daycast.drift", "occurred": datetime.now(UTC).isoformat(), "resource": resource}
    place.server.call("/events", [event | {"id": str(uuid4())}])
    place.wait_until(
        lambda: any((run["created_by"] or {}).get("type") == "AUTOMATION" for run in place.runs("retrain/retrain"))
    )


def a_forecast_whose_process_is_killed_is_made_again(place: Place) -> None:
    """Once: else a forecast that itself kills its process would be made again for ever."""
    before = {run["id"] for run in place.runs("forecast/forecast")}

    def others() -> list[dict]:
        return [run for run in place.runs("forecast/forecast") if run["id"] not in before]

    for more in (1, 0):
        before |= {run["id"] for run in others()}
        killed = place.trigger("forecast")
        place.wait_until(lambda of=killed: place.processes(f"PREFECT__FLOW_RUN_ID={of}"), every_s=0.1)
        for pid in place.processes(f"PREFECT__FLOW_RUN_ID={killed}"):
            os.kill(pid, signal.SIGKILL)
        place.wait_until(lambda of=killed: place.state(of) == "CRASHED")
        before.add(killed)
        if more:
            place.wait_until(lambda: any(run["state_type"] == "COMPLETED" for run in others()))
        place.hears_what_was_sent()
        assert len(others()) == more
    assert (
        "libtorch" not in Path(f"/proc/{place.service('worker-cpu')}/maps").read_text()
    )  # nor has the worker loaded it for good


def down_leaves_no_process(place: Place) -> None:
    """Whatever runs, `daycast down` ends all of it."""
    assert len(place.processes()) >= 3
    assert place.run("down").stdout == "down\n"
    assert place.processes() == []
    assert place.run("down").stdout == "daycast was not up\n"


def no_secret_was_written(place: Place) -> None:
    """Neither to a log nor to the database of runs, states and artifacts."""
    written = {path.name for path in place.folder.rglob("*") if path.is_file() and UNSAID.encode() in path.read_bytes()}
    assert (place.home / "prefect.db").stat().st_size > 0
    assert written == set()
