"""What infra/ offers beside `daycast up` keeps the formats it is written in, and the promises the README makes of it."""

import json
import re
import shutil
import subprocess
import sys

import kubernetes_validate
import pytest
import yaml
from prefect.flows import load_flow_from_entrypoint

from daycast.service.up import _environment
from daycast.settings import Settings
from integration.dockerfile import ROOT, read_steps, variables_of

INFRA = ROOT / "infra"
DEPLOYMENTS = yaml.safe_load((INFRA / "prefect.yaml").read_text())["deployments"]
COMPOSE = yaml.safe_load((INFRA / "compose.yaml").read_text())
OBJECTS = [
    one
    for path in sorted((INFRA / "k8s").glob("*.yaml"))
    for one in yaml.safe_load_all(path.read_text())
    if path.stem != "kustomization"
]
KUSTOMIZATION = yaml.safe_load((INFRA / "k8s" / "kustomization.yaml").read_text())
PODS = {
    f"{one['kind']}/{one['metadata']['name']}": one["spec"]["template"]["spec"]
    for one in OBJECTS
    if "template" in one["spec"]
}
SECRET = re.compile(r"password|secret|token|key", re.IGNORECASE)


def is_pinned(image: str) -> bool:
    """Whether the tag says a version: three numbers, or two of PostgreSQL."""
    return bool(re.fullmatch(r"[\w./-]+:(\w+-)?\d+\.\d+(\.\d+)?(-\w+)*", image))


def test_the_compose_file_keeps_the_schema_of_its_specification():
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*check, INFRA / "compose.yaml"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_docker_runs_is_pinned_unprivileged_and_on_loopback_alone():
    for name, service in COMPOSE["services"].items():
        assert is_pinned(service["image"]) or service["image"] in {"daycast:cpu", "daycast:gpu"}, name
        assert not {"privileged", "network_mode", "pid", "cap_add"} & set(service), name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        assert name == "postgres" or service["cap_drop"] == ["ALL"], name
    targets = {
        service["image"]: service["build"]["target"] for service in COMPOSE["services"].values() if "build" in service
    }
    assert targets == {"daycast:cpu": "cpu", "daycast:gpu": "gpu"}
    (device,) = COMPOSE["services"]["worker-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert "gpu" in device["capabilities"]


def test_no_secret_stands_in_the_files_for_docker():
    for name, service in COMPOSE["services"].items():
        for key, value in service.get("environment", {}).items():
            if SECRET.search(key):
                assert re.fullmatch(r"\$\{\w+:\?[^}]+\}", value), (name, key)
            assert not re.search(r"://\w+:(?!\$\{)[^@/]*@", value), (name, key)


@pytest.mark.parametrize("one", OBJECTS, ids=lambda one: f"{one['kind']}/{one['metadata']['name']}")
def test_a_kubernetes_object_keeps_its_schema(one):
    kubernetes_validate.validate(one, kubernetes_validate.latest_version(), strict=True)


def test_the_kustomization_lists_every_file_and_names_a_version_of_every_image():
    files = {path.name for path in (INFRA / "k8s").glob("*.yaml")} - {"kustomization.yaml"}
    assert set(KUSTOMIZATION["resources"]) == files
    named = {image["name"]: f"{image['newName']}:{image['newTag']}" for image in KUSTOMIZATION["images"]}
    for pod in PODS.values():
        for container in pod["containers"]:
            assert is_pinned(named.get(container["image"], container["image"]))


def test_kustomize_builds_them(tmp_path):
    if not shutil.which("kubectl"):
        pytest.skip("kubectl is not on this machine")
    made = subprocess.run(["kubectl", "kustomize", INFRA / "k8s"], capture_output=True, text=True, check=True).stdout
    built = [one for one in yaml.safe_load_all(made) if one]
    assert len(built) == len(OBJECTS) + 1  # the configuration
    assert {one["metadata"]["namespace"] for one in built} == {"daycast"}


@pytest.mark.parametrize("name", PODS)
def test_a_pod_has_no_root_no_privilege_and_no_literal_secret(name):
    pod = PODS[name]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    for container in pod["containers"]:
        assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        assert "memory" in container["resources"]["limits"]
        for variable in container.get("env", []):
            assert not SECRET.search(variable["name"]) or "secretKeyRef" in variable["valueFrom"]
            assert not re.search(r"://\w+:(?!\$\()[^@/]*@", variable.get("value", "")), variable


def test_no_service_of_kubernetes_is_reachable_from_outside_and_the_gpu_worker_has_its_gpu():
    services = [one for one in OBJECTS if one["kind"] == "Service"]
    assert services
    assert {one["spec"].get("type", "ClusterIP") for one in services} == {"ClusterIP"}
    assert "Ingress" not in {one["kind"] for one in OBJECTS}
    limits = PODS["Deployment/worker-gpu"]["containers"][0]["resources"]["limits"]
    assert limits["nvidia.com/gpu"] == 1


@pytest.mark.parametrize("wanted", DEPLOYMENTS, ids=lambda wanted: f"{wanted['entrypoint']}/{wanted['name']}")
def test_a_deployment_names_a_flow_of_the_package(wanted):
    flow = load_flow_from_entrypoint(wanted["entrypoint"], use_placeholder_flow=False)
    assert flow.name == wanted["entrypoint"].rpartition(".")[2]
    assert wanted["name"] in {flow.name, wanted["work_pool"]["name"]}


def test_every_pool_has_its_worker_everywhere():
    commands = [json.dumps(service.get("command")) for service in COMPOSE["services"].values()]
    commands += [json.dumps(container.get("command")) for pod in PODS.values() for container in pod["containers"]]
    for pool in {one["work_pool"]["name"] for one in DEPLOYMENTS}:
        assert sum(f'"--pool", "{pool}"' in command for command in commands) == 2, pool


@pytest.mark.parametrize("target", ["cpu", "gpu"])
def test_an_image_is_pinned_copies_what_there_is_and_does_not_run_as_root(target):
    first, *steps = read_steps(target)
    assert is_pinned(first.text.split()[0])
    assert (steps[-1].kind, steps[-1].text) == ("USER", "10001")
    copied = [source for step in steps if step.kind == "COPY" for source in step.text.split()[:-1]]
    assert all((ROOT / source).exists() for source in copied)
    installs = [step.text for step in steps if "pip" in step.text or "install.sh" in step.text]
    assert len(installs) == 1
    assert installs[0].startswith("infra/install.sh /opt/venv")
    assert "--constraint infra/constraints.txt" in (INFRA / "install.sh").read_text()
    allowed = set((INFRA / "Dockerfile.dockerignore").read_text().splitlines())
    assert {f"!{source}" for source in copied} <= allowed


def test_an_image_has_the_settings_of_prefect_that_daycast_up_has(tmp_path):
    ours = _environment(Settings.model_validate({}, context={"folder": tmp_path}), None, tmp_path, "")
    told = {name: value for step in read_steps("cpu") if step.kind == "ENV" for name, value in variables_of(step)}
    of_workers = {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY", "PREFECT_WORKER_QUERY_SECONDS"}
    shared = {name for name in ours if name.startswith("PREFECT_SERVER_")} | of_workers
    assert len(shared) > 2
    assert {name: told.get(name) for name in shared} == {name: ours[name] for name in shared}


@pytest.mark.parametrize("path", sorted((INFRA / "systemd").iterdir()), ids=lambda path: path.name)
def test_systemd_accepts_a_unit(path, tmp_path):
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not on this machine")
    text = path.read_text()
    assert "\nUser=daycast\n" in text
    there = re.sub(r"(?m)^ExecStart=\S+", f"ExecStart={shutil.which('true')}", text)  # what is not installed here
    (tmp_path / path.name).write_text(there)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", tmp_path / path.name], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
