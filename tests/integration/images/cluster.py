"""The services of infra/compose.yaml on one machine, each in a network of its own, run by buildah, which needs no registry.

`Network` makes a network namespace for each service, joined in pairs by veth links that can be cut. `Container` is a service
with its restart policy: the processes share a process namespace, so that all of them die with the first, as in Docker.
`Cluster` starts everything in the order of `depends_on`, and asks the Prefect server, as the host does, on its loopback port.
"""

import ctypes
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from daycast.errors import ConfigError
from daycast.service.server import WAREHOUSE_SLOT, RefusedError, Server
from integration.dockerfile import ROOT
from integration.lake.conftest import program

PATIENCE_S = 900.0  # for whatever is bound to happen, on a busy machine
COMPOSE = yaml.safe_load((ROOT / "infra" / "compose.yaml").read_text())
_CLONE_NEWNET = 0x40000000
_USER = 10001  # of the images
_PASSWORD, _AUTH = "open-sesame", "daycast:forty-thieves"  # of servers that live as long as the test
_RESTART_S = 1.0


def call(*command: str | Path, **options: Any) -> str:
    """What a command prints; an AssertionError with its words if it fails."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


class Network:
    """A namespace for each name, and a link with two addresses between every two that talk to each other."""

    def __init__(self, folder: Path, pairs: Sequence[tuple[str, str]]) -> None:
        self.names = sorted({name for pair in pairs for name in pair})
        self._mark = f"daycast-{os.getpid()}"
        for name in self.names:
            call("ip", "netns", "add", self.space(name))
            call("ip", "-n", self.space(name), "link", "set", "lo", "up")
        hosts = {name: ["127.0.0.1 localhost"] for name in self.names}
        for number, pair in enumerate(pairs):
            spaces = [self.space(name) for name in pair]
            call(
                "ip",
                "-n",
                spaces[0],
                "link",
                "add",
                pair[1],
                "type",
                "veth",
                "peer",
                "name",
                pair[0],
                "netns",
                spaces[1],
            )
            for one, (space, peer) in enumerate(zip(spaces, reversed(pair), strict=True)):
                call("ip", "-n", space, "address", "add", f"10.231.{number}.{1 + one}/30", "dev", peer)
                call("ip", "-n", space, "link", "set", peer, "up")
                hosts[pair[one]].append(f"10.231.{number}.{2 - one} {peer}")
        self.hosts = {name: folder / f"hosts.{name}" for name in self.names}
        for name, lines in hosts.items():
            self.hosts[name].write_text("\n".join(lines) + "\n")

    def space(self, name: str) -> str:
        return f"{self._mark}-{name}"

    @contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """This thread opens its sockets in the namespace, for the length of the block."""
        with Path("/proc/thread-self/ns/net").open() as outside, Path("/run/netns", self.space(name)).open() as within:
            _enter(within.fileno())
            try:
                yield
            finally:
                _enter(outside.fileno())

    def set_link(self, served: str, client: str, state: str) -> None:
        """Cut the link between two ("down"), or mend it ("up"). The client hears nothing: what it sends is lost."""
        call("ip", "-n", self.space(served), "link", "set", client, state)

    def remove(self) -> None:
        for name in self.names:
            subprocess.run(["ip", "netns", "delete", self.space(name)], check=False)


def _enter(space: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(space, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


@dataclass
class Container:
    """A program in namespaces of its own. It is started again whenever it ends, if `restarts`."""

    command: Sequence[str]
    log: Path
    restarts: bool
    starts: int = 0
    status: int | None = None
    _process: subprocess.Popen | None = None
    _is_wanted: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._is_wanted.set()
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()

    def _keep(self) -> None:
        with self.log.open("ab") as sink:
            while self._is_wanted.is_set():
                self.starts += 1
                sink.write(f"--- start {self.starts}, {time.strftime('%H:%M:%S')}\n".encode())
                sink.flush()
                self._process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink)
                self.status = self._process.wait()
                if not self.restarts:
                    return
                time.sleep(_RESTART_S)

    def kill(self) -> None:
        """SIGKILL to the first process of its namespace, and thereby to all; the policy starts it again."""
        assert self._process is not None
        pid = self._process.pid
        with suppress(OSError):  # it has just ended
            for first in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
                os.kill(int(first), signal.SIGKILL)

    def wait(self) -> int | None:
        """Its exit status, once it has ended for good."""
        assert self._thread is not None
        self._thread.join(PATIENCE_S)
        return self.status

    def stop(self) -> None:
        self._is_wanted.clear()
        if self._process is not None and self._thread is not None:
            self.kill()
            self._thread.join(PATIENCE_S)


class _Inside(Server):
    """The server asked on its own loopback, where compose.yaml publishes it."""

    def __init__(self, network: Network) -> None:
        super().__init__("http://127.0.0.1:4200/api", _AUTH)
        self._network = network

    def _send(self, path: str, body: object, method: str | None) -> Any:
        with self._network.inside("server"):
            return super()._send(path, body, method)

    def is_up(self, timeout_s: float = 5.0) -> bool:
        with self._network.inside("server"):
            return super().is_up(timeout_s)


class Cluster:
    """PostgreSQL beside the containers of compose.yaml, whose named volumes and configuration are in `folder`."""

    def __init__(self, folder: Path, configuration: str) -> None:
        self.folder, self.services = folder, COMPOSE["services"]
        self.configuration = folder / "daycast.toml"
        self.configuration.write_text(configuration)
        self.data = self._volume("data")
        self._volume("prefect")
        self.pairs = [
            ("postgres", "server"),
            *(("server", name) for name in self.services if name not in {"postgres", "server"}),
        ]
        self.network = Network(folder, self.pairs)
        self.server = _Inside(self.network)
        self._images: list[str] = []
        self.containers = {"postgres": Container(self._postgres(), folder / "postgres.log", restarts=True)}
        for name, service in self.services.items():
            if name != "postgres":
                restarts = service["restart"] == "unless-stopped"
                self.containers[name] = Container(self._command(name, service), folder / f"{name}.log", restarts)

    def start(self) -> dict[str, float]:
        """Start all in the order of `depends_on`; returns how many seconds each took to be there."""
        took = {}
        for name, container in self.containers.items():
            started = time.monotonic()
            container.start()
            if name == "server":
                self.wait_until(self.server.is_up, every_s=0.2)
            elif name == "postgres":
                self.wait_until(self._postgres_answers, every_s=0.2)
            elif not container.restarts:
                assert container.wait() == 0, container.log.read_text()
            else:
                self.wait_until(lambda name=name: self._is_online(name))
            took[name] = time.monotonic() - started
        return took

    def wait_until(
        self, condition: Callable[[], object], every_s: float = 0.5, patience_s: float = PATIENCE_S
    ) -> float:
        """How many seconds it takes until the condition is met; a server that does not answer is asked again."""
        started = time.monotonic()
        while True:
            with suppress(RefusedError, ConfigError, OSError):
                if condition():
                    return time.monotonic() - started
            assert time.monotonic() - started < patience_s, f"not within {patience_s:.0f} s, see {self.folder}"
            time.sleep(every_s)

    def trigger(self, deployment: str, **parameters: object) -> str:
        """Have a flow run; returns the id of the run. A server that does not answer is asked again."""
        found: list[str] = []

        def ask() -> bool:
            which = self.server.call(f"/deployments/name/{deployment}")["id"]
            body = {"state": {"type": "SCHEDULED"}, "parameters": parameters}
            found.append(self.server.call(f"/deployments/{which}/create_flow_run", body)["id"])
            return True

        self.wait_until(ask)
        return found[0]

    def run(self, of: str) -> dict[str, Any]:
        return self.server.call(f"/flow_runs/{of}")

    def runs(self, **state: object) -> list[dict[str, Any]]:
        """All runs in a state of these types, oldest first."""
        which = {"flow_runs": {"state": {"type": {"any_": state["types"]}}}} if state else {}
        return self.server.call("/flow_runs/filter", {**which, "sort": "EXPECTED_START_TIME_ASC"})

    def pause_schedules(self) -> None:
        """Else an hour that strikes has runs of its own."""
        for deployment in self.server.call("/deployments/filter", {}):
            self.server.call(f"/deployments/{deployment['id']}/pause_deployment", {})

    def slots_held(self) -> int:
        """How many tasks hold the slot of the warehouse."""
        return self.server.call(f"/v2/concurrency_limits/{WAREHOUSE_SLOT}")["active_slots"]

    def end(self) -> None:
        """Stop everything and remove what the kernel and buildah keep of it."""
        for container in reversed(self.containers.values()):
            container.stop()
        for image in self._images:
            subprocess.run(["buildah", "rm", image], check=False, stdout=subprocess.DEVNULL)
        self.network.remove()
        shutil.rmtree(self._sockets)

    def _volume(self, name: str) -> Path:
        path = self.folder / name
        path.mkdir()
        os.chown(path, _USER, _USER)
        return path

    def _within(self, name: str) -> list[str]:
        return [
            "ip",
            "netns",
            "exec",
            self.network.space(name),
            "unshare",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ]

    def _command(self, name: str, service: Mapping[str, Any]) -> list[str]:
        """The command line that runs a service of compose.yaml from its image."""
        made = call("buildah", "from", f"localhost/{service['image']}")
        self._images.append(made)
        call("buildah", "mount", made)  # stays mounted, whatever is killed
        given = {variable: _substituted(value) for variable, value in service["environment"].items()}
        options = [f"--env={variable}={value}" for variable, value in given.items()]
        volumes = [self._mounted(volume) for volume in service["volumes"]]
        options += [f"--volume={volume}" for volume in [*volumes, f"{self.network.hosts[name]}:/etc/hosts:ro"]]
        options += [f"--cap-drop={capability}" for capability in service["cap_drop"]]
        return [
            *self._within(name),
            "buildah",
            "run",
            "--isolation=chroot",
            "--no-hosts",
            *options,
            made,
            "--",
            *service["command"],
        ]

    def _mounted(self, volume: str) -> str:
        source, rest = volume.split(":", 1)
        return f"{self.configuration if source.endswith('.toml') else self.folder / source}:{rest}"

    def _postgres(self) -> list[str]:
        """The command line of a PostgreSQL as compose.yaml describes it, from the machine's own programs, with its data made."""
        folder = self._sockets = Path(
            tempfile.mkdtemp(prefix="daycast-postgres-")
        )  # pytest's folders are for root alone
        shutil.chown(folder, "nobody")
        (folder / "password").write_text(_PASSWORD)
        shutil.chown(folder / "password", "nobody")
        words = self.services["postgres"]["environment"]
        initdb = [str(program("initdb")), "-D", folder / "data", "-U", words["POSTGRES_USER"], "-E", "UTF8", "-N"]
        as_nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        call(*as_nobody, *initdb, "--auth=scram-sha-256", f"--pwfile={folder / 'password'}", cwd=folder)
        with (folder / "data" / "pg_hba.conf").open("a") as rules:
            rules.write("host all all all scram-sha-256\n")
        options = ["-c", "listen_addresses=*", "-c", f"unix_socket_directories={folder}"]
        return [*self._within("postgres"), *as_nobody, str(program("postgres")), "-D", str(folder / "data"), *options]

    def _postgres_answers(self) -> bool:
        words = self.services["postgres"]["environment"]
        address = f"host={self._sockets} user={words['POSTGRES_USER']}"
        environment = os.environ | {"PGPASSWORD": _PASSWORD}
        made = [str(program("createdb")), f"--maintenance-db={address} dbname=postgres", words["POSTGRES_DB"]]
        return subprocess.run(made, env=environment, capture_output=True, check=False).returncode == 0

    def _is_online(self, name: str) -> bool:
        workers = self.server.call(f"/work_pools/{name.removeprefix('worker-')}/workers/filter", {})
        return any(worker["status"] == "ONLINE" for worker in workers)


def _substituted(value: str) -> str:
    """A value of compose.yaml with the passwords of this test in it."""
    given = {"POSTGRES_PASSWORD": _PASSWORD, "PREFECT_API_AUTH_STRING": _AUTH}
    return re.sub(r"\$\{(\w+):\?[^}]*\}", lambda match: given[match[1]], value)
