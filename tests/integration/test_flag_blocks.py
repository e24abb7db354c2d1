"""Quality control by blocks of stations finds what it finds of all at once: neighbours are asked across blocks."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from daycast.settings import Settings
from daycast.steps.ingest import ingest_source
from daycast.times import HOUR

pytestmark = pytest.mark.slow
NOW = datetime(2026, 2, 5, 10, 5, tzinfo=UTC)


def observed(folder: Path, most: int, map_blocks: object) -> pl.DataFrame:
    """Every version of the observations, after 40 days at once and then an hour."""
    source = {"kind": "simulated", "stations": 12, "history": "40d", "extent_km": 60}
    strict = {"air_temperature_c": {"neighbour_difference": 1, "climatology_deviations": 2}}
    chosen = {"sources": [source], "quality": strict, "compute": {"block_stations": most}}
    settings = Settings.model_validate(chosen, context={"folder": folder})
    for now in (NOW, NOW + HOUR):
        ingest_source(settings, settings.sources[0], now, map_blocks=map_blocks)
    with settings.warehouse.write(NOW) as con:
        table = con.sql("from observation_versions order by station_id, observed_at, known_from").to_arrow_table()
    return pl.DataFrame(pl.from_arrow(table))


@pytest.fixture(scope="module")
def of_all_at_once(tmp_path_factory) -> pl.DataFrame:
    return observed(tmp_path_factory.mktemp("all"), 512, map)


@pytest.mark.parametrize("most", [1, 5])
def test_observations_and_flags_of_blocks_are_those_of_all_stations_at_once(of_all_at_once, tmp_path, most):
    sizes = []

    def map_blocks(compute, blocks):
        blocks = list(blocks)
        sizes.append([len(block.rewritten) for block in blocks])
        return [compute(block) for block in blocks]

    assert_frame_equal(observed(tmp_path, most, map_blocks), of_all_at_once, check_exact=True)
    assert {max(size) for size in sizes} == {most}
    checks = {
        check for name in of_all_at_once.columns if name.endswith("_check") for check in of_all_at_once[name].unique()
    }
    assert {"neighbours", "climatology", "spike", "flat_line"} <= checks
