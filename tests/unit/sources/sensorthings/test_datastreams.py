"""Which Datastream of a Thing holds which variable."""

import polars as pl
import pytest

from daycast.errors import SourceError
from daycast.sources.sensorthings.datastreams import DatastreamColumn, choose_channels
from daycast.sources.sensorthings.things import Datastream, Thing
from daycast.variables import BUILT_IN, Variable


@pytest.mark.parametrize(
    ("column", "found"),
    [
        ({"datastream": "temp [2 m]"}, ["temp [2 m]"]),  # the very name, though it reads as a glob
        ({"datastream": "temp*"}, ["temp [2 m]", "temp [10 m]"]),
        ({"datastream": "TEMP*"}, []),
        ({"observed_property": "temp*"}, []),
        ({"observed_property": "air"}, ["temp [2 m]", "temp [10 m]"]),
        ({"observed_property": "air", "datastream": "*10 m*"}, ["temp [10 m]"]),
        ({"observed_property": "soil", "datastream": "temp*"}, []),
    ],
)
def test_a_datastream_is_found_by_its_property_its_name_or_both(column, found):
    names = ["temp [2 m]", "temp [10 m]"]
    streams = [
        Datastream.model_validate({"@iot.id": 1, "name": name, "ObservedProperty": {"name": "air"}}) for name in names
    ]
    chosen = DatastreamColumn.model_validate(column)
    assert [stream.name for stream in streams if chosen.finds(stream)] == found


def test_a_declared_variable_is_converted_to_the_unit_it_was_declared_in():
    dust = Variable("dust_ug_m3", "dust", "µg/m³", 0.0, 1000.0)
    stream = {"@iot.id": 1, "name": "dust", "unitOfMeasurement": {"symbol": "µg/m³"}}
    mast = Thing.model_validate({"@iot.id": 5, "Datastreams": [stream]})
    column = DatastreamColumn(datastream="dust")
    [chosen] = choose_channels(mast, {"dust_ug_m3": column}, BUILT_IN | {"dust_ug_m3": dust}, ())
    assert chosen.unit == "µg/m³"
    other = Thing.model_validate({"@iot.id": 5, "Datastreams": [stream | {"unitOfMeasurement": {"symbol": "mg/m³"}}]})
    [converted] = choose_channels(other, {"dust_ug_m3": column}, BUILT_IN | {"dust_ug_m3": dust}, ())
    assert pl.select(converted.reader.unit.to_daycast(pl.lit(0.02))).item() == 20.0
    other = Thing.model_validate({"@iot.id": 5, "Datastreams": [stream | {"unitOfMeasurement": {"symbol": "ppm"}}]})
    with pytest.raises(SourceError, match="'ppm' of dust_ug_m3: possible are µg/m³, mg/m³"):
        choose_channels(other, {"dust_ug_m3": column}, BUILT_IN | {"dust_ug_m3": dust}, ())
