"""How much better than the obvious the forecasts of twelve real sites are: one JSON line for each cell.

Trains on what was known on 2016-02-01 and scores the 60 days before, every hour of the day, which training never saw.
The reference of the same run is the best of persistence, same hour yesterday and climatology; `ratio` is temperature MAE
over that reference, `limit` what the project promises. Takes about six minutes on two cores.

    python tests/benchmarks/bench_beijing.py
"""

import json
import os
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from daycast.settings import load_settings
from daycast.steps.backtest import backtest
from daycast.steps.evaluate import evaluate_holdout
from daycast.steps.ingest import ingest_source
from daycast.steps.train import fit_snapshot, register, write_snapshot

UNTIL = datetime(2016, 2, 1, tzinfo=UTC)
NAIVE = ("persistence", "same_hour_yesterday", "climatology")


def main() -> None:
    """Print the lines."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DAYCAST_DATA"] = folder
        settings = load_settings(str(Path(__file__).parents[1] / "realdata" / "beijing.toml"))
        ingest_source(settings, settings.sources[0], UNTIL)
        snapshot = write_snapshot(settings, UNTIL)
        for cell in ("gru", "lstm"):
            started = time.perf_counter()
            checkpoint = fit_snapshot(
                snapshot, settings.checkpoints, settings.glossary, settings.with_cell(cell), print_nothing
            )
            seconds = time.perf_counter() - started
            outcome = register(settings, checkpoint, *evaluate_holdout(settings, checkpoint, UNTIL), UNTIL)
            print(
                json.dumps(
                    {"benchmark": f"beijing_{cell}", "fit_s": round(seconds, 1), **score(settings, outcome.model_id)}
                )
            )


def score(settings, model_id: str) -> dict[str, object]:
    """Temperature MAE of a model and of its baselines over the last 60 days, all leads."""
    span = UNTIL - timedelta(days=60), UNTIL
    scores, warning = backtest(settings, *span, timedelta(hours=1), UNTIL, model_id)
    assert warning is None, warning
    temperature = scores.filter(scores["variable"] == "air_temperature_c")
    mae = {name: round(rows["mae"].mean(), 3) for (name,), rows in temperature.group_by("model", maintain_order=True)}
    reference = min(mae[name] for name in NAIVE)
    return {"mae": mae, "ratio": round(mae[model_id] / reference, 3), "limit": 0.85, "n": int(temperature["n"].max())}


def print_nothing(_: object) -> None:
    """Training is silent here."""


if __name__ == "__main__":
    main()
