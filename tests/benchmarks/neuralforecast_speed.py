"""Train neuralforecast's GRU for some steps and say how fast: runs in the environment that has it, and knows nothing of daycast.

    python neuralforecast_speed.py SERIES.parquet STEPS

Prints JSON: windows a second over the steps after the first five, and the peak memory.
"""

import json
import logging
import resource
import sys
import time
from typing import ClassVar

import pandas as pd
from neuralforecast import NeuralForecast
from neuralforecast.losses.pytorch import MQLoss
from neuralforecast.models import GRU
from pytorch_lightning import Callback

WINDOWS, WARM_UP = 256, 5


class Clock(Callback):
    """Notes when each step ended; for all copies of it, because the model is copied."""

    ends: ClassVar[list[float]] = []

    def on_train_batch_end(self, *_: object) -> None:
        self.ends.append(time.perf_counter())


def main(series: str, steps: str) -> None:
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    frame, clock = pd.read_parquet(series), Clock()
    model = GRU(
        h=24,
        input_size=168,
        hist_exog_list=[name for name in frame.columns if name.startswith("past_")],
        futr_exog_list=[name for name in frame.columns if name.startswith("known_")],
        encoder_hidden_size=64,
        encoder_n_layers=1,
        decoder_hidden_size=64,
        loss=MQLoss(quantiles=[0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95]),
        batch_size=frame["unique_id"].nunique(),
        windows_batch_size=WINDOWS,
        max_steps=int(steps),
        scaler_type="standard",
        accelerator="cpu",
        enable_progress_bar=False,
        enable_checkpointing=False,
        logger=False,
        callbacks=[clock],
    )
    NeuralForecast(models=[model], freq="h").fit(frame)
    seconds = clock.ends[-1] - clock.ends[WARM_UP - 1]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"windows_per_s": WINDOWS * (len(clock.ends) - WARM_UP) / seconds, "peak_gb": peak}))


if __name__ == "__main__":
    main(*sys.argv[1:])
