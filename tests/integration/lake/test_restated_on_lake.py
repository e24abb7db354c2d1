"""A corrected unit and new thresholds on a lake: the same as in the file."""

from collections.abc import Callable
from pathlib import Path

import pytest

from daycast.steps.maintain import maintain
from daycast.times import HOUR
from daycast.warehouse.lake import Lake
from integration.test_restated import DAY as ONE_DAY
from integration.test_restated import NOW, START, ask, assert_same, csv_source, ingest, mean_wind, settings_of

pytestmark = pytest.mark.slow


def test_a_corrected_unit_gives_on_a_lake_what_a_clean_ingest_gives(
    new_lake: Callable[[], Lake], tmp_path: Path
) -> None:
    lake = new_lake()
    on = {"warehouse": {"lake": {"catalogue": lake.catalogue, "data": lake.data}}}
    strict = {"quality": {"air_temperature_c": {"rate_of_change": 0.2}}}
    found = []
    for number, unit in enumerate(["m/s", "km/h", "m/s", "km/h"]):
        source = csv_source(tmp_path / "a", {"column": "wind", "unit": unit})
        settings = settings_of(tmp_path / "a", source, **on)
        ingest(settings, NOW + number * HOUR)
        found.append(mean_wind(settings, START + 10 * ONE_DAY))
    assert found == [17.82, 4.95, 17.82, 4.95]
    clean = settings_of(tmp_path / "b", csv_source(tmp_path / "b"))
    ingest(clean)
    assert_same(settings, clean)
    assert ask(settings, "select count(*) from retracted_readings").item() == 3 * 960
    suspect = "select count(*) from observations where air_temperature_c_flag = 3"
    checked = settings_of(tmp_path / "a", source, **on, **strict)
    before = ask(checked, suspect).item()
    assert maintain(checked, NOW + ONE_DAY).rechecked
    assert ask(checked, suspect).item() > before
