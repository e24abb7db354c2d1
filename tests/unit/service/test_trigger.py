"""What a user writes as key=value becomes the parameter a flow declares, or is refused with the way out."""

import json

import pytest
from pydantic import TypeAdapter

from daycast.errors import ConfigError
from daycast.service.server import Server
from daycast.service.trigger import read_pair, trigger
from daycast.settings import Moment
from unit.sources.http_server import Answer, serve

SCHEMA = {
    "properties": {
        "cell": {"anyOf": [{"enum": ["gru", "lstm"], "type": "string"}, {"type": "null"}], "title": "cell"},
        "since": {"type": "string", "description": "The first hour.\n"},
        "dry_run": {"type": "boolean", "description": "Only say it."},
        "epochs": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "stations": {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]},
        "until": TypeAdapter(Moment | None).json_schema(),
    }
}


@pytest.mark.parametrize(
    ("pair", "value"),
    [
        ("cell=lstm", "lstm"),
        ("since=2026", "2026"),
        ("dry_run=true", True),
        ("epochs=3", 3),
        ("stations=S1,S2", ["S1", "S2"]),
        ('stations=["S1"]', ["S1"]),
        ("since=a=b", "a=b"),
        ("until=2026-02-01", "2026-02-01"),
        ("until=2026-02-01T06:00Z", "2026-02-01T06:00Z"),
        ("until=2026-02-01 06:00:00.5+01:00", "2026-02-01 06:00:00.5+01:00"),
    ],
)
def test_a_value_is_read_as_the_kind_its_parameter_has(pair, value):
    assert read_pair(pair, SCHEMA, "flow") == (pair.split("=")[0], value)


def test_a_configuration_file_is_named_so_that_a_run_finds_it_from_another_folder(tmp_path, monkeypatch):
    (tmp_path / "other.toml").touch()
    monkeypatch.chdir(tmp_path)
    schema = {"properties": {"config": {"type": "string"}}}
    deployment = {"parameter_openapi_schema": schema, "parameters": {}, "work_pool_name": "cpu"}
    with serve(lambda _: Answer(body=json.dumps(deployment).encode())) as server:
        said = trigger(Server(server.url), "ingest", ["config=other.toml"], dry_run=True)
    assert said == f'would run ingest in pool cpu with config="{tmp_path / "other.toml"}"'


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("cell=gruu", "'gruu'.*gru, lstm"),
        ("cel=gru", "no parameter 'cel'.*did you mean 'cell'"),
        ("cell", "'cell' is not key=value"),
        ("dry_run=yes", "'yes'.*Only say it.*boolean"),
        ("epochs=true", "'true'.*integer"),
        ("epochs=three", "'three'.*integer"),
        ("until=yesterday", "until cannot be 'yesterday': write ISO 8601.*2026-02-01T00:00:00Z"),
        ("until=2026-02-01'; drop table forecasts; --", "until cannot be .*drop table.*ISO 8601"),
        ("until=../../etc/passwd", "until cannot be .*ISO 8601"),
        ("until=2026-02-01\n", "until: .*is no time: write ISO 8601"),
        ("until=2026-02-30", "until: '2026-02-30' is no time"),
    ],
)
def test_what_does_not_fit_is_named_with_the_way_out(pair, message):
    with pytest.raises(ConfigError, match=message):
        read_pair(pair, SCHEMA, "flow")
