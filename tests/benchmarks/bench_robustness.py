"""What missing readings, an outage and an unknown station cost: error and coverage beside the same forecasts undisturbed.

Twelve sites in Beijing, trained until 2015-03-01 and forecast for the year after, once a day. What the model reads is disturbed,
the truth it is scored against is not. JSON lines, each for air temperature, `ratio` being MAE over that undisturbed:

- `holes`: a fifth of all readings are missing at random: at most 1.10;
- `outage`: the six hours up to each t0 came only after it, of one station at a time: at most 1.25;
- `network_outage`: the same of all stations at once: at most 1.25;
- `left_out`: three stations that training never saw, against the same stations when it did: at most 1.10.

`coverage_change` is by how much the share of truth in the 50, 80 and 90 % intervals changed, for the target variable
where it changed the most: at most 0.05.

    python tests/benchmarks/bench_robustness.py --data FOLDER [--model ID]

FOLDER as in bench_own_columns.py. Without --model one is trained as configured; `left_out` trains a second one in the same way
(skip it with --no-left-out). A minute or two beside the training.
"""

import argparse
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
from beijing_data import EVERY, NOW, SINCE, TRAINED_UNTIL, UNTIL, open_beijing, train
from measurement import say

from daycast.evaluation.scores import Tally
from daycast.features.panel import make_panel
from daycast.model.checkpoint import load_checkpoint
from daycast.model.forecaster import Forecaster
from daycast.quality.flags import keep_usable
from daycast.steps.evaluate import Evaluation, calibrate_weekly, open_block
from daycast.steps.train import fit_snapshot, write_snapshot
from daycast.times import DAY, HISTORY_HOURS, HORIZON_HOURS, HOUR
from daycast.warehouse.models import find_model
from daycast.warehouse.observations import read_stations, read_versions

TARGET = "air_temperature_c"
SHARE_MISSING, OUTAGE = 0.2, timedelta(hours=6)
LEFT_OUT = ("Aotizhongxin", "Dingling", "Wanliu")  # in the city, in the hills, at its edge
INTERVALS = ("coverage_50", "coverage_80", "coverage_90")
LIMITS = {"holes": 1.10, "outage": 1.25, "network_outage": 1.25, "left_out": 1.10, "coverage": 0.05}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", help="the id of a model in the warehouse, instead of training")
    parser.add_argument("--no-left-out", action="store_true", help="train no second model")
    args = parser.parse_args()
    settings = open_beijing(args.data)
    model_id = args.model or train(settings, settings.model)
    with settings.warehouse.write(NOW) as con:
        model, stations = find_model(con, model_id), read_stations(con)
        versions = read_versions(con, SINCE - (HISTORY_HOURS - 1) * HOUR - 90 * DAY, UNTIL + HORIZON_HOURS * HOUR, NOW)
    versions = keep_usable(versions, list(settings.glossary))
    forecaster = load_checkpoint(settings.checkpoints / str(model["checkpoint"]))
    block = open_block(
        forecaster, versions, stations, every=EVERY // HOUR, since=SINCE, until=UNTIL, whole_history=False
    )
    calibrate_weekly(forecaster, [forecaster.header.cell], block)
    plain = score(forecaster, block, [versions])
    compare("holes", model_id, plain, score(forecaster, block, [drop_at_random(versions)]))
    compare("outage", model_id, plain, score(forecaster, block, delay_one_by_one(versions, stations)))
    compare("network_outage", model_id, plain, score(forecaster, block, [delay_before_issue(versions)]))
    if not args.no_left_out:
        compare("left_out", model_id, *left_out(settings, forecaster, versions, stations))


def drop_at_random(versions: pl.DataFrame) -> pl.DataFrame:
    """Without a fifth of the hours of each station: the reading never came, nor what corrected it."""
    hours = versions.select("station_id", "observed_at").unique(maintain_order=True)
    kept = hours.filter(np.random.default_rng(1).random(len(hours)) >= SHARE_MISSING)
    return versions.join(kept, on=["station_id", "observed_at"], how="semi")


def delay_before_issue(versions: pl.DataFrame) -> pl.DataFrame:
    """With what was observed in the six hours up to each hour of issue known only an hour after that."""
    before = (pl.lit(SINCE) - pl.col("observed_at")).dt.total_hours() % (
        EVERY // HOUR
    )  # hours to the next hour of issue
    issue = pl.col("observed_at") + pl.duration(hours=before)
    late = pl.max_horizontal("known_from", issue + HOUR)
    delayed = versions.with_columns(
        pl.when(before < OUTAGE // HOUR).then(late).otherwise(pl.col("known_from")).alias("known_from")
    )
    return delayed.filter((pl.col("known_from") < pl.col("known_until")).fill_null(value=True))


def delay_one_by_one(versions: pl.DataFrame, stations: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """For each station in turn, what is known where it alone is delayed."""
    for station in stations["station_id"].sort():
        own = pl.col("station_id") == station
        yield pl.concat([versions.filter(~own), delay_before_issue(versions.filter(own))])


def left_out(
    settings, forecaster: Forecaster, versions: pl.DataFrame, stations: pl.DataFrame
) -> tuple[pl.DataFrame, ...]:
    """Scores of the three stations: by the model that knew them, and by one fitted with the same settings that did not."""
    snapshot = write_snapshot(settings, TRAINED_UNTIL)
    without = snapshot.with_name(f"{snapshot.name}-without")
    without.mkdir(exist_ok=True)
    for file in snapshot.glob("*.parquet"):
        pl.read_parquet(file).filter(~pl.col("station_id").is_in(LEFT_OUT)).write_parquet(without / file.name)
    config = forecaster.header.config
    checkpoint = fit_snapshot(without, settings.checkpoints, settings.glossary, config, lambda _: None)
    ignorant = load_checkpoint(checkpoint)
    assert not set(LEFT_OUT) & set(ignorant.header.stations)
    tables = []
    for model in (forecaster, ignorant):
        block = open_block(
            model, versions, stations, every=EVERY // HOUR, since=SINCE, until=UNTIL, whole_history=False
        )
        calibrate_weekly(model, [model.header.cell], block)
        ids = block.windows.panel.stations["station_id"].to_numpy()[block.stations]
        among = np.isin(ids, LEFT_OUT)
        three = Evaluation(block.windows, block.stations[among], block.origins[among], block.since, block.until)
        tables.append(score(model, three, [versions]))
    return tuple(tables)


def score(forecaster: Forecaster, block: Evaluation, worlds: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Scores of the network's forecasts of the windows of `block`, against the truth there.

    worlds: the versions to forecast from, of all stations; or for each station those to make its own forecasts from.
    """
    plain, tally, name = block.windows.panel, Tally(), forecaster.header.cell
    worlds = list(worlds)
    for station, versions in enumerate(worlds):
        panel = make_panel(versions, plain.stations, plain.channels, plain.start, plain.time_of(plain.hours - 1))
        mine = (block.stations == station) | (len(worlds) == 1)
        index = block.stations[mine], block.origins[mine]
        disturbed = forecaster.predict(forecaster.open(panel), *index, [name])
        undisturbed = forecaster.predict(block.windows, *index, [])
        for (_, quantiles, _, _), (_, _, truth, _) in zip(disturbed, undisturbed, strict=True):
            tally.add(quantiles[name], truth)
    return tally.table(name, forecaster.header.targets)


def compare(name: str, model_id: str, plain: pl.DataFrame, disturbed: pl.DataFrame) -> None:
    mae, before = (table.filter(pl.col("variable") == TARGET)["mae"].mean() for table in (disturbed, plain))
    assert disturbed["n"].to_list() == plain["n"].to_list()
    both = (
        table.group_by("variable", maintain_order=True).agg(pl.col(INTERVALS).mean()) for table in (disturbed, plain)
    )
    after, former = both
    change = {i: (after[i] - former[i]).abs() for i in INTERVALS}
    worst = max(change, key=lambda interval: change[interval].max())
    say(name, model=model_id, mae=mae, mae_undisturbed=before, ratio=mae / before, limit=LIMITS[name],
        coverage_change=change[worst].max(), coverage_limit=LIMITS["coverage"], interval=worst,
        of=after["variable"][change[worst].arg_max()],
        coverage=dict(after.filter(pl.col("variable") == TARGET).select(INTERVALS).row(0, named=True)))  # fmt: skip


if __name__ == "__main__":
    main()
