"""How much of what is wrong the checks find, and how much of what is right they doubt, on a network that knows its faults."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from daycast.settings import Settings
from daycast.sources.simulated.source import SimulatedSource
from daycast.sources.simulated.weather import VARIABLES
from daycast.steps.ingest import ingest_source

pytestmark = pytest.mark.slow
UNTIL = datetime(2026, 3, 1, tzinfo=UTC)
NETWORK = SimulatedSource(stations=80, history=timedelta(days=200), seed=11)


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    """Each hourly value that came: variable, fault (null: none), flag, check."""
    settings = Settings.model_validate({}, context={"folder": Path(tmp_path_factory.mktemp("detection"))})
    ingest_source(settings, NETWORK, UNTIL)
    with settings.warehouse.write(UNTIL) as con:
        observations = con.sql("from observations").pl()
    truth = NETWORK.truth(UNTIL - timedelta(days=199), UNTIL).drop("observed_at").rename({"valid_time": "observed_at"})
    both = observations.join(truth, on=["station_id", "observed_at"], suffix="_true")
    parts = [
        both.select(
            pl.lit(name).alias("variable"),
            pl.col(f"{name}_fault").alias("fault"),
            pl.col(f"{name}_flag").alias("flag"),
            pl.col(f"{name}_check").alias("check"),
        ).filter(pl.col("flag") != 9, (pl.col("fault") != "first_wrong").fill_null(value=True))
        for name in VARIABLES
    ]
    return pl.concat(parts)


def shares(judged: pl.DataFrame, *by: str) -> pl.DataFrame:
    """How many values, and the share of them that is flagged suspect or worse."""
    return judged.group_by(by).agg(pl.len().alias("values"), (pl.col("flag") >= 3).mean().alias("flagged")).sort(by)


@pytest.mark.parametrize(
    ("fault", "wanted", "least"), [("gross", 0.95, 50), ("stuck", 0.85, 500), ("spike", 0.85, 200)]
)
def test_faults_are_found(judged: pl.DataFrame, fault: str, wanted: float, least: int) -> None:
    faulty = judged.filter(pl.col("fault") == fault)
    print(shares(faulty, "variable"))
    assert len(faulty) >= least  # else the share says little
    assert (faulty["flag"] >= 3).mean() >= wanted


def test_no_check_doubts_more_than_one_good_value_in_a_hundred(judged: pl.DataFrame) -> None:
    good = judged.filter(pl.col("fault").is_null())
    alarms = (
        good.group_by("variable", "check")
        .len()
        .with_columns(share=pl.col("len") / pl.col("len").sum().over("variable"))
    )
    print(alarms.drop_nulls("check").sort("share", descending=True))
    assert alarms.drop_nulls("check")["share"].max() <= 0.01
    assert (good["flag"] == 4).mean() <= 0.001  # what is failed is lost to the model


def test_every_gross_error_is_failed(judged: pl.DataFrame) -> None:
    gross = judged.filter(pl.col("fault") == "gross")
    assert set(zip(gross["flag"], gross["check"], strict=True)) == {(4, "gross_range")}
