"""`daycast up` on a small network that has a champion: schedules, both workers, what follows what, and a clean end."""

import json
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

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
        flow = wanted["entrypoint"].split(":")[1]
        if crons:
            assert place.is_scheduled(f"{flow}/{wanted['name']}"), wanted["name"]
    assert not there


def test_a_second_supervisor_is_refused(place):
    again = place.run("up")
    assert again.returncode == 1
    assert f"up already (process {place.supervisor.pid}" in again.stderr


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


def test_what_is_triggered_by_hand_and_by_schedule_runs_and_draws_the_rest_after_it(place, listener):
    before = len(list((place.folder / "data" / "checkpoints").glob("*.safetensors")))
    soon = {"interval": 30, "anchor_date": datetime.now(UTC).isoformat()}
    verify = call(place.url, "/deployments/name/verify/verify")
    call(place.url, f"/deployments/{verify['id']}/schedules", [{"active": True, "schedule": soon}])
    ingest = place.run("trigger", "ingest")
    assert ingest.returncode == 0, ingest.stderr
    place.after(60, lambda: place.slots_held() == 1)  # whoever uses the warehouse
    retrain = place.run("trigger", "retrain", "cell=lstm")
    assert retrain.returncode == 0, retrain.stderr
    for each in ("ingest", "forecast", "publish"):  # the latter two by events
        place.completed(f"{each}/{each}")
    assert place.completed("verify/verify")["auto_scheduled"]
    rows = place.run("sql", "select count(*) as n from latest_forecasts", "--format", "csv")
    assert rows.stdout == f"n\n{4 * 2 * 24}\n"  # stations, targets, leads
    assert place.completed("retrain/retrain")["parameters"] == {"cell": "lstm"}
    assert place.completed("fit/gpu")["work_pool_name"] == "gpu"
    assert len(list((place.folder / "data" / "checkpoints").glob("*.safetensors"))) == before + 1
    assert ("GET", f"/alive/{UNSAID}", "") in listener.heard
    assert json.loads((place.folder / "data" / "heartbeat.json").read_text())["forecasts"] == 4 * 2 * 24
    assert '"lstm-' in place.run("models", "list", "--format", "json").stdout


def test_a_forecast_that_failed_is_told_to_the_webhook(place, listener):
    assert place.run("trigger", "forecast", "stations=nowhere").returncode == 0
    place.after(60, lambda: any(f"/alert/{UNSAID}" in heard for heard in listener.heard))
    ((method, _, body),) = [heard for heard in listener.heard if heard[1] == f"/alert/{UNSAID}"]
    assert method == "POST"
    assert re.search(r"daycast: the forecast \S+ ended Failed: .*no station 'nowhere'", json.loads(body)["text"])


def test_that_no_forecast_came_is_told_to_the_webhook(place, listener):
    (late,) = [
        each for each in call(place.url, "/automations/filter", {}) if each["name"] == "daycast: a forecast is late"
    ]
    late["trigger"]["within"] = 10  # seconds, not hours
    call(place.url, "/automations/", {key: late[key] for key in ("name", "enabled", "trigger", "actions")})
    place.after(60, lambda: any("the forecast is late" in body for _, _, body in listener.heard))


def test_down_leaves_no_process(place):
    assert len(place.processes()) >= 3
    assert place.run("down").stdout == "down\n"
    assert place.supervisor.wait(10) == 0
    assert place.processes() == []
    assert place.run("down").stdout == "daycast was not up\n"


def test_no_secret_is_in_a_log_a_state_or_a_file(place):
    written = {path.name for path in place.folder.rglob("*") if path.is_file() and UNSAID.encode() in path.read_bytes()}
    assert (place.home / "prefect.db").stat().st_size > 0  # where the runs' logs, states and artifacts are
    assert written == set()
