"""The images, built where no registry is, and compose.yaml's services run from them, killed and cut off from each other.

It takes half an hour, a mirror of Debian and what pip installs, so it must be asked for, by root: DAYCAST_TEST_IMAGES=1, or
DAYCAST_TEST_IMAGES=built for images that are there already. As in the script, TORCH_INDEX says where torch comes from; without
it torch comes from where pip takes the rest, also in the image gpu.
"""

import ast
import json
import os
import re
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
import yaml

from integration.conftest import MODEL
from integration.dockerfile import ROOT
from integration.images.cluster import Cluster, call
from integration.servers import program

ASKED = os.environ.get("DAYCAST_TEST_IMAGES", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not ASKED, reason="builds and runs images for half an hour: `make images`"),
]
STATIONS = 3
CUT_S = 60.0
DEPLOYING_S = 15.0  # then a deploy is in the midst of it
ENDS = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
DEPLOYMENTS = yaml.safe_load((ROOT / "infra" / "prefect.yaml").read_text())["deployments"]
CONFIGURATION = "\n".join(
    [
        f'[[sources]]\nkind = "simulated"\nstations = {STATIONS}\nhistory = "70d"',
        "[model]",
        *(f"{name} = {json.dumps(value)}" for name, value in MODEL.items()),
        '[retrain]\nfit_on = "gpu"\n',
    ]
)


def pip_options(folder: Path) -> list[str]:
    """Options of `buildah build` that give its pip what this machine's pip is configured with: options, folders, certificates."""
    said = call(sys.executable, "-m", "pip", "config", "list")
    options = {
        name: ast.literal_eval(value) for name, value in re.findall(r"^[\w:]+\.([\w-]+)=(.*)$", said, re.MULTILINE)
    }
    written = ["[global]", *(f"{name} = {' '.join(value.split())}" for name, value in options.items())]
    (folder / "pip.conf").write_text("\n".join(written) + "\n")
    mounts = {folder / "pip.conf": "/etc/pip.conf"}
    for name, value in options.items():
        for path in map(Path, re.findall(r"(?:(?<=file://)|(?<!\S))/\S+", value)):
            place = path.parent if name.endswith("index-url") else path  # an index links to what lies beside it
            mounts |= {place: str(place)} if place.exists() else {}
    return [f"--volume={source}:{target}:ro" for source, target in mounts.items()]


@dataclass
class Table:
    """What was found out, a line each: what was done, what became of the work, and in how many seconds."""

    rows: list[tuple[str, str, float]] = field(default_factory=list)

    def add(self, done: str, outcome: str, took_s: float) -> None:
        self.rows.append((done, outcome, took_s))

    def show(self) -> str:
        return "\n".join(f"{done:<44} {outcome:<40} {took_s:5.0f} s" for done, outcome, took_s in self.rows)


@pytest.fixture(scope="module")
def table() -> Iterator[Table]:
    made = Table()
    yield made
    print(f"\n{made.show()}")


@pytest.fixture(scope="module")
def images(tmp_path_factory, table) -> None:
    """localhost/daycast:cpu and :gpu are there, built from this clone."""
    if os.geteuid() != 0:
        pytest.skip("only root makes a base, images and namespaces")
    for name in ("debootstrap", "buildah", "ip", "unshare", "setpriv"):
        program(name)
    if ASKED == "built":
        return
    started = time.monotonic()
    index = f"--build-arg=TORCH_INDEX={os.environ.get('TORCH_INDEX', '')}"
    call(ROOT / "infra" / "build_images.sh", index, *pip_options(tmp_path_factory.mktemp("pip")))
    table.add("build the base and the images cpu and gpu", "built", time.monotonic() - started)


@pytest.fixture(scope="module")
def cluster(images, tmp_path_factory, table) -> Iterator[Cluster]:
    """Everything runs, and a pipeline has brought it from nothing to a published forecast."""
    made = Cluster(tmp_path_factory.mktemp("cluster"), CONFIGURATION)
    try:
        for name, took_s in made.start().items():
            table.add(f"start {name}", "answers" if made.containers[name].restarts else "has deployed", took_s)
        for deployment in made.server.call(
            "/deployments/filter", {}
        ):  # an hour that strikes would have runs of its own
            made.server.call(f"/deployments/{deployment['id']}/pause_deployment", {})
        first, started = made.trigger("pipeline/pipeline"), time.monotonic()
        made.wait_until((made.data / "published.duckdb").exists)
        table.add("from nothing", "the first forecast is published", time.monotonic() - started)
        made.wait_until(lambda: made.run(first)["state_type"] in ENDS)
        state = made.run(first)["state_name"].lower()
        table.add("", f"trained and published again: {state}", time.monotonic() - started)
        yield made
    finally:
        made.end()


def test_a_forecast_is_published_and_the_other_worker_has_fitted_the_network(cluster):
    runs = {run["name"].split()[0]: run for run in cluster.runs()}
    assert runs["pipeline"]["state_type"] == "COMPLETED", runs["pipeline"]["state"]
    assert runs["fit"]["work_pool_name"] == "gpu"
    assert runs["fit"]["state_type"] == "COMPLETED"
    assert list((cluster.data / "checkpoints").glob("*.safetensors"))
    assert forecasts(cluster) == [STATIONS * len(MODEL["targets"]) * 24]


def test_the_pages_are_served_from_the_image(cluster):
    """The files of Prefect's pages are copied when the server starts, by a user who may not write where they lie."""
    with cluster.network.inside("server"), urllib.request.urlopen("http://127.0.0.1:4200/", timeout=60) as answer:
        assert b"<script" in answer.read()


@pytest.mark.parametrize(
    ("work", "name"),
    [
        ("ingest", "postgres"),
        ("ingest", "server"),
        ("ingest", "worker-cpu"),
        ("fit", "server"),
        ("fit", "worker-cpu"),
        ("fit", "worker-gpu"),
    ],
)
def test_killed(cluster, table, work, name):
    """SIGKILL to all processes of a service while the work is done; the restart policy starts it again."""
    disturb(cluster, table, work, f"{name} killed during {work}", cluster.containers[name].kill)


@pytest.mark.parametrize(
    "pair", [("postgres", "server"), ("server", "worker-cpu"), ("server", "worker-gpu")], ids="-".join
)
@pytest.mark.parametrize("work", ["ingest", "fit"])
def test_cut(cluster, table, pair, work):
    """The link between two services is down for a minute."""

    def cut() -> None:
        cluster.network.set_link(*pair, "down")
        time.sleep(CUT_S)
        cluster.network.set_link(*pair, "up")

    disturb(cluster, table, work, f"{' and '.join(pair)} cut during {work}", cut)


def test_nothing_seems_to_run_for_ever(cluster):
    """Also runs that a killed worker had taken and not begun."""
    cluster.wait_until(lambda: not cluster.runs(types=["RUNNING", "PENDING", "CANCELLING"]))


def test_deploying_killed_and_cut_can_be_repeated(cluster, table):
    """`daycast deploy` ends, well or not, and the next one leaves one of each."""
    deploy = cluster.containers["deploy"]
    for number, harm in enumerate((deploy.kill, lambda: cluster.network.set_link("server", "deploy", "down"))):
        deploy.start()
        time.sleep(DEPLOYING_S)
        harm()
        if number:
            time.sleep(CUT_S)
            cluster.network.set_link("server", "deploy", "up")
        deploy.wait()
    started = time.monotonic()
    deploy.start()
    assert deploy.wait() == 0, deploy.log.read_text()
    table.add("deploy killed, and cut from the server", "has deployed again", time.monotonic() - started)
    cluster.pause_schedules()
    names = [deployment["name"] for deployment in cluster.server.call("/deployments/filter", {})]
    assert sorted(names) == sorted(one["name"] for one in DEPLOYMENTS)


def disturb(cluster: Cluster, table: Table, work: str, what: str, harm: Callable[[], None]) -> None:
    """Do harm while the work is done; afterwards nothing is left over, and the next cycle is as it would have been."""
    since = datetime.now(UTC).isoformat()
    given = (
        {"epochs": 2 + len(table.rows)} if work == "fit" else {}
    )  # another model each time, else it is there already
    cluster.trigger("ingest/ingest" if work == "ingest" else "retrain/retrain", **given)
    cluster.wait_until(lambda: at_work(cluster, work), every_s=0.1)
    started = time.monotonic()
    harm()
    cluster.wait_until(lambda: not cluster.runs(types=["RUNNING", "CANCELLING"]) and cluster.slots_held() == 0)
    ended = [run for run in cluster.runs() if run["name"].startswith("ingest" if work == "ingest" else "retrain")][-1]
    table.add(what, f"its {ended['name'].split()[0]} {ended['state_name'].lower()}", time.monotonic() - started)
    cycle(cluster)
    table.add("", "the next cycle is published", time.monotonic() - started)
    served = forecasts(cluster)
    assert served
    assert set(served) == {STATIONS * len(MODEL["targets"]) * 24}, since


def at_work(cluster: Cluster, work: str) -> bool:
    running = cluster.runs(types=["RUNNING"])
    return any(run["work_pool_name"] == "gpu" if work == "fit" else run["name"].startswith(work) for run in running)


def cycle(cluster: Cluster) -> None:
    """An ingest, and what follows it up to the publication."""
    since = datetime.now(UTC).isoformat()
    cluster.trigger("ingest/ingest")
    cluster.wait_until(
        lambda: any(
            run["name"].startswith("publish") and run["start_time"] > since for run in cluster.runs(types=["COMPLETED"])
        )
    )


def forecasts(cluster: Cluster) -> list[int]:
    """How many different rows each published forecast has; fails if one is there twice."""
    query = """
        select count(*), count(distinct (station_id, variable, lead_hours))
        from forecasts
        group by issued_at
    """
    with duckdb.connect(cluster.data / "published.duckdb", read_only=True) as con:
        counts = con.execute(query).fetchall()
    assert all(rows == different for rows, different in counts), counts
    return [rows for rows, _ in counts]
