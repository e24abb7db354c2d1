"""What it takes to make the same forecaster again, to the last bit on a CPU: nothing in it depends on when or how fast."""

import platform

import numpy as np
import polars as pl
import torch

import daycast
from daycast.model.config import ModelConfig
from daycast.model.device import choose_precision


def make_manifest(
    data_hash: str, config: ModelConfig, device: torch.device, champion: str = "", *, trained: bool = True
) -> dict[str, str]:
    """Data, seed, versions, device, threads and precision of a fit by name, and the champion it was to begin with.

    trained: whether there are networks, of which it also says how many and for how long.
    """
    plan = {"networks": config.members, "epochs": config.most_epochs, "steps_per_epoch": config.steps_per_epoch}
    return {
        "data": data_hash,
        **({"warm_start_from": champion} if champion else {}),
        **({name: str(number) for name, number in plan.items()} if trained else {}),
        "seed": str(config.seed),
        "device": torch.cuda.get_device_name() if device.type == "cuda" else device.type,
        "precision": str(choose_precision(config.precision, device)).removeprefix("torch."),
        "threads": str(torch.get_num_threads()),
        "daycast": daycast.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "polars": pl.__version__,
        "python": platform.python_version(),
    }
