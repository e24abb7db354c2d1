"""`daycast up` on a small network that has a champion: schedules, both workers, what follows what, and a clean end."""

import base64
import json
import re
import subprocess
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import yaml

from daycast.live.server import RefusedError, call
from integration.listener import listening
from integration.place import Place

ROOT = Path(__file__).parents[2]
DEPLOYMENTS = yaml.safe_load((ROOT / "infra" / "prefect.yaml").read_text())["deployments"]
pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="this machine does not show its processes in /proc")


UNSAID = "b2f1c0ffee"


@pytest.fixture(scope="module")
def listener():
    with listening() as listener:
        yield listener


@pytest.fixture(scope="module")
def place(trained_once, listener, tmp_path_factory):
    folder = tmp_path_factory.mktemp("by_itself")
    subprocess.run(["cp", "-r", trained_once.settings.data, folder / "data"], check=True)
    place = Place(folder)
    place.environment["DAYCAST_ALERT_URL"] = f"{listener.url}/alert/{UNSAID}"
    place.environment["DAYCAST_HEARTBEAT_URL"] = f"{listener.url}/alive/{UNSAID}"
    try:
        place.up()
        yield place
    finally:
        place.end()


def test_every_cron_has_scheduled_runs_and_every_deployment_its_pool(place):
    there = {(d["entrypoint"], d["name"]): d for d in call(place.url, "/deployments/filter", {})}
    for wanted in DEPLOYMENTS:
        deployment = there.pop((wanted["entrypoint"], wanted["name"]))
        assert deployment["work_pool_name"] == wanted["work_pool"]["name"]
        crons = [each["schedule"]["cron"] for each in deployment["schedules"]]
        assert crons == [each["cron"] for each in wanted.get("schedules", [])]
        flow = wanted["entrypoint"].rpartition(".")[2]
        if crons:
            assert place.is_scheduled(f"{flow}/{wanted['name']}"), wanted["name"]
    assert not there


def test_a_second_supervisor_is_refused(place):
    again = place.run("up", "--detach")
    assert again.returncode == 1
    assert again.stderr.startswith("daycast: daycast is up already")
    assert f"up already (process {place.supervisor}" in again.stderr


def test_deploying_again_onto_a_server_leaves_one_of_each(place):
    def there() -> dict[str, list[str]]:
        kinds = ("deployments", "automations", "work_pools")
        return {kind: sorted(one["name"] for one in call(place.url, f"/{kind}/filter", {})) for kind in kinds}

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


def test_a_dry_run_starts_nothing(place):
    done = place.run("trigger", "backfill", "since=2026-02-01", "--dry-run")
    assert done.stdout == 'would run backfill in pool cpu with since="2026-02-01"\n'
    assert not place.runs("backfill/backfill")


@pytest.mark.parametrize("text", ["yesterday", "2026-02-01'; drop table forecasts; --", "../../2026-02-01"])
def test_what_is_no_time_is_refused_before_a_run_exists_by_the_command_and_by_the_server(place, text):
    refused = place.run("trigger", "backfill", f"since={text}", "--dry-run")
    assert refused.returncode == 1
    assert "ISO 8601" in refused.stderr
    deployment = call(place.url, "/deployments/name/backfill/backfill")["id"]
    with pytest.raises(RefusedError, match="does not match"):  # of whoever comes past the command
        call(place.url, f"/deployments/{deployment}/create_flow_run", {"parameters": {"since": text}})
    assert not place.runs("backfill/backfill")


def test_hours_that_were_missed_for_a_day_are_made_up_for_by_one_run_which_draws_a_forecast_after_it(place, listener):
    call(place.url, "/work_pools/cpu", {"is_paused": True}, "PATCH")  # as if its workers were away
    ingest = call(place.url, "/deployments/name/ingest/ingest")["id"]
    missed = [datetime.now(UTC) - timedelta(hours=hours) for hours in range(24, 0, -1)]
    for hour in missed:
        late = {"type": "SCHEDULED", "state_details": {"scheduled_time": hour.isoformat()}}
        call(place.url, f"/deployments/{ingest}/create_flow_run", {"state": late})
    call(place.url, "/work_pools/cpu", {"is_paused": False}, "PATCH")
    place.after(120, lambda: place.slots_held() == 1)  # whoever uses the warehouse
    for each in ("ingest", "forecast", "publish"):  # the latter two by events
        place.completed(f"{each}/{each}")
    states = Counter(run["state_type"] for run in place.runs("ingest/ingest") if not run["auto_scheduled"])
    assert states == {"COMPLETED": 1, "CANCELLED": 23}
    assert ("GET", f"/alive/{UNSAID}", "") in listener.heard
    assert json.loads((place.folder / "data" / "heartbeat.json").read_text())["forecasts"] == 4 * 2 * 24
    rows = place.run("sql", "select count(*) as n from latest_forecasts", "--format", "csv")
    assert rows.stdout == f"n\n{4 * 2 * 24}\n"  # stations, targets, leads


def test_what_is_triggered_by_hand_and_by_schedule_runs(place):
    before = len(list((place.folder / "data" / "checkpoints").glob("*.safetensors")))
    soon = {"interval": 30, "anchor_date": datetime.now(UTC).isoformat()}
    verify = call(place.url, "/deployments/name/verify/verify")
    (added,) = call(place.url, f"/deployments/{verify['id']}/schedules", [{"active": True, "schedule": soon}])
    place.trigger("retrain", "cell=lstm")
    assert place.completed("verify/verify")["auto_scheduled"]
    call(place.url, f"/deployments/{verify['id']}/schedules/{added['id']}", method="DELETE")
    assert place.completed("retrain/retrain")["parameters"] == {"cell": "lstm"}
    assert place.completed("fit/gpu")["work_pool_name"] == "gpu"
    assert len(list((place.folder / "data" / "checkpoints").glob("*.safetensors"))) == before + 1
    assert '"lstm-' in place.run("models", "list", "--format", "json").stdout


def test_a_forecast_that_failed_and_that_none_came_is_told_to_the_webhook(place, listener):
    automations = {each["name"]: each for each in call(place.url, "/automations/filter", {})}
    late = automations["daycast: a forecast is late"]
    late["trigger"]["within"] = 10  # seconds, not hours
    call(place.url, "/automations/", {key: late[key] for key in ("name", "enabled", "trigger", "actions")})
    place.trigger("forecast", "stations=nowhere")

    wanted = {
        r"daycast: the forecast is late: none was made for three hours",
        r"daycast: the forecast \S+ ended Failed: .*no station 'nowhere'.*",
    }

    def told(pattern: str) -> bool:
        posts = [body for method, path, body in listener.heard if (method, path) == ("POST", f"/alert/{UNSAID}")]
        return any(re.fullmatch(pattern, json.loads(body)["text"], re.DOTALL) for body in posts)

    place.after(120, lambda: all(told(pattern) for pattern in wanted))


def test_by_hand_a_worker_forecasts_missed_hours_and_says_what_else_would_happen_without_doing_it(place):
    register = place.run("models", "list", "--format", "json").stdout
    (challenger, *_) = [row["model_id"] for row in json.loads(register) if row["role"] != "champion"]
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    since, until = (f"{now - timedelta(hours=back):%Y-%m-%dT%H:%MZ}" for back in (4, 2))
    assert place.run("trigger", "backfill", f"since={since}", f"until={until}").returncode == 0
    place.completed("retrain/retrain")  # a dry run, too, is cancelled where one of its kind is at work
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


def test_every_run_leaves_its_summary_and_a_forecast_its_chart(place):
    for flow in ("ingest", "forecast", "publish", "verify", "retrain"):
        assert place.artifacts(place.completed(f"{flow}/{flow}"))[f"{flow}-summary"]["type"] == "markdown", flow
    shown = place.artifacts(place.completed("forecast/forecast"))
    table = json.loads(shown["forecast-table"]["data"])
    assert {(row["variable"], row["stations"]) for row in table} == {("air_temperature_c", 4), ("precipitation_mm", 4)}
    kind, _, picture = shown["forecast-chart"]["data"].partition(",")
    assert kind == "data:image/svg+xml;base64"
    assert base64.b64decode(picture).startswith(b"<svg ")
    assert len(picture) < 50_000
    bar = place.artifacts(place.completed("fit/gpu"))["training"]
    assert (bar["type"], bar["data"], bar["description"]) == ("progress", 100.0, "Trained.")


def test_a_drift_has_the_model_trained_again(place):
    resource = {"prefect.resource.id": "daycast.model.gru-1"}
    event = {"event": "daycast.drift", "occurred": datetime.now(UTC).isoformat(), "resource": resource}
    call(place.url, "/events", [event | {"id": str(uuid4())}])

    def triggered() -> bool:
        return any((run["created_by"] or {}).get("type") == "AUTOMATION" for run in place.runs("retrain/retrain"))

    place.after(120, triggered)


def test_down_leaves_no_process(place):
    assert len(place.processes()) >= 3
    assert place.run("down").stdout == "down\n"
    assert place.processes() == []
    assert place.run("down").stdout == "daycast was not up\n"


def test_no_secret_is_in_a_log_a_state_or_a_file(place):
    written = {path.name for path in place.folder.rglob("*") if path.is_file() and UNSAID.encode() in path.read_bytes()}
    assert (place.home / "prefect.db").stat().st_size > 0  # where the runs' logs, states and artifacts are
    assert written == set()
