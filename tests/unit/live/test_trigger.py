"""What a user writes as key=value becomes the parameter a flow declares, or is refused with the way out."""

import pytest

from daycast.errors import ConfigError
from daycast.live.trigger import read_pair

SCHEMA = {
    "properties": {
        "cell": {"anyOf": [{"enum": ["gru", "lstm"], "type": "string"}, {"type": "null"}], "title": "cell"},
        "since": {"type": "string", "description": "The first hour.\n"},
        "dry_run": {"type": "boolean", "description": "Only say it."},
        "epochs": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "stations": {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]},
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
    ],
)
def test_a_value_is_read_as_the_kind_its_parameter_has(pair, value):
    assert read_pair(pair, SCHEMA, "flow") == (pair.split("=")[0], value)


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("cell=gruu", "'gruu'.*gru, lstm"),
        ("cel=gru", "no parameter 'cel'.*did you mean 'cell'"),
        ("cell", "'cell' is not key=value"),
        ("dry_run=yes", "'yes'.*Only say it.*boolean"),
        ("epochs=true", "'true'.*integer"),
        ("epochs=three", "'three'.*integer"),
    ],
)
def test_what_does_not_fit_is_named_with_the_way_out(pair, message):
    with pytest.raises(ConfigError, match=message):
        read_pair(pair, SCHEMA, "flow")
