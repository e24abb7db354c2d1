"""Start a run of a deployed flow by hand. Parameters are given as `key=value` and checked before anything starts."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from daycast.errors import ConfigError, did_you_mean
from daycast.service.server import RefusedError, Server
from daycast.times import parse_time


def trigger(server: Server, flow: str, pairs: Sequence[str], *, dry_run: bool) -> str:
    """Let a worker run `flow` with the parameters `pairs`; returns a line that says what was started, or with dry_run would be.

    Raises ConfigError that names the unknown flow, the unknown parameter or the refused value.
    """
    deployment = _find(server, flow)
    schema = deployment["parameter_openapi_schema"]
    parameters = dict(read_pair(pair, schema, flow) for pair in pairs)
    if Path(config := parameters.get("config", "")).is_file():  # a run has another working directory
        parameters["config"] = str(Path(config).resolve())
    if missing := sorted(set(schema.get("required", [])) - set(parameters) - set(deployment["parameters"])):
        raise ConfigError(f"{flow} needs {missing[0]}=…: {_describe(schema['properties'][missing[0]])}")
    what = f"{flow} in pool {deployment['work_pool_name']} with {_join(deployment['parameters'] | parameters)}"
    if dry_run:
        return f"would run {what}"
    try:
        run = server.call(f"/deployments/{deployment['id']}/create_flow_run", {"name": flow, "parameters": parameters})
    except RefusedError as error:
        raise ConfigError(f"{flow} was refused: {_reason(error.text)}") from None
    return f"started {what}; see {server.url.removesuffix('/api')}/runs/flow-run/{run['id']}"


def read_pair(pair: str, schema: Mapping[str, Any], flow: str) -> tuple[str, Any]:
    """The name and the value of `key=value`; the value is text if the JSON schema allows text, else it is read as JSON.

    Raises ConfigError for an unknown name or a value of the wrong type.
    """
    name, equals, text = pair.partition("=")
    properties = schema.get("properties", {})
    if not equals or name not in properties:
        wrong = f"{pair!r} is not key=value" if not equals else f"{flow} has no parameter {name!r}"
        raise ConfigError(f"{wrong}{did_you_mean(name, properties)}; there are: {', '.join(properties)}")
    options = properties[name].get("anyOf", [properties[name]])
    choices = [choice for option in options for choice in option.get("enum", [])]
    if choices and text not in choices:
        raise ConfigError(f"{name} cannot be {text!r}: choose {', '.join(choices)}")
    for pattern in [option["pattern"] for option in options if option.get("format") == "date-time"]:
        _validate_time(name, text, pattern)
    types = {option.get("type", "object") for option in options} - {"null"}
    if "string" in types:
        return name, text
    if types == {"array"} and not text.startswith("["):
        return name, text.split(",")
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        value = None
    if not any(_is(value, kind) for kind in types):
        raise ConfigError(
            f"{name} cannot be {text!r}: it is {_describe(properties[name])} ({', '.join(sorted(types))})"
        )
    return name, value


def _validate_time(name: str, text: str, pattern: str) -> None:
    if not re.search(pattern, text):
        raise ConfigError(
            f"{name} cannot be {text!r}: write ISO 8601, UTC unless it carries an offset, for example 2026-02-01T00:00:00Z"
        )
    try:
        parse_time(text)
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from None


def _is(value: object, kind: str) -> bool:
    kinds = {"boolean": bool, "integer": int, "number": (int, float), "array": list, "object": dict}
    return isinstance(value, kinds[kind]) and (kind == "boolean" or not isinstance(value, bool))  # type: ignore[arg-type]


def _find(server: Server, flow: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = server.call(f"/deployments/name/{flow}/{flow}")
    except RefusedError:
        flows = [each["name"] for each in server.call("/deployments/filter", {})]
        names = sorted(set(flows) - {"cpu", "gpu"})
        raise ConfigError(
            f"no flow {flow!r} is deployed{did_you_mean(flow, names)}; there are: {', '.join(names)}"
        ) from None
    return found


def _describe(property_: Mapping[str, Any]) -> str:
    return str(property_.get("description") or property_.get("title", "")).strip().rstrip(".")


def _join(parameters: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={json.dumps(value)}" for name, value in parameters.items()) or "default parameters"


def _reason(text: str) -> str:
    try:
        return str(json.loads(text)["detail"])
    except (ValueError, KeyError, TypeError):
        return text
