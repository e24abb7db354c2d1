"""The real networks that benchmarks read: their configurations fit the files."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from daycast.settings import load_settings

HERE = Path(__file__).parent
FILES = Path(__file__).parents[3] / "shared" / "data"
NOW = datetime(2023, 1, 1, tzinfo=UTC)

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.slow,
    pytest.mark.skipif(not FILES.is_dir(), reason="shared/data is not beside the checkout"),
]


@pytest.mark.parametrize(
    ("name", "stations", "unlisted"), [("knmi", 50, {"229"}), ("inmet", 99, set()), ("us", 5, set())]
)
def test_a_configuration_reads_its_file_and_knows_where_its_stations_are(
    name: str, stations: int, unlisted: set[str]
) -> None:
    settings = load_settings(str(HERE / f"{name}.toml"))
    (source,) = settings.sources
    listed = source.stations()
    assert len(listed) == stations
    assert listed["latitude"].null_count() == 0
    batch = next(iter(source.fetch(None, NOW, settings.glossary, ())))
    assert len(batch.readings)
    assert set(batch.readings["station_id"]) - set(listed["station_id"]) <= unlisted  # one of KNMI's has no position
    assert not len(batch.problems)
