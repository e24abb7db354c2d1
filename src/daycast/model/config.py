"""The model's settings, and facts that all of the model shares: the quantile levels and the ladder of epochs.

The file that `daycast init` writes explains every setting.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

QUANTILES = (0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95)  # Q: the levels of every forecast
MEDIAN = QUANTILES.index(0.50)
Cell = Literal["gru", "lstm", "rnn", "auto"]
EPOCHS = (1, 2, 3, 5)  # what a plan chooses from; the skill of each: tests/benchmarks/EXPERIMENTS.md
OLD_NAMES = {  # settings of earlier versions, also in the headers of their checkpoints
    "longest_minutes": "max_minutes",
    "members": "ensemble_size",
    "hidden": "hidden_size",
    "batch": "batch_size",
    "weight_average": "ema_decay",
    "teacher_share": "teacher_forcing_ratio",
    "teacher_share_at_end": "final_teacher_forcing_ratio",
    "long_memory": "chrono_init",
    "hidden_share": "input_dropout",
    "judgement_days": "holdout_days",
}
OLD_DEFAULTS = {"neighbour_attention": False}  # what a checkpoint means that was written before there was the setting


@dataclass(frozen=True)
class ModelConfig:
    """Architecture and training of one model. Unknown fields are refused."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    cell: Cell = "auto"
    hidden_size: int = 64  # D
    layers: int = 1
    dropout: float = 0.2
    bidirectional: bool = False  # the encoder also reads the history backwards
    attention: bool = False  # each lead looks back over all hours of the history
    neighbour_attention: bool = True  # each lead looks at the neighbours in all directions one by one
    layer_norm: bool = False
    chrono_init: bool = False  # initial gate biases that let units remember up to the whole history
    station_summary: bool = False  # the decoder reads elevation, means and deviations of the station's own week
    decoder: Literal["direct", "autoregressive"] = "direct"
    teacher_forcing_ratio: float = 1.0  # probability that an autoregressive decoder reads the truth, at the first step
    final_teacher_forcing_ratio: float = 0.0  # and at the last
    targets: tuple[str, ...] = ()  # empty: every target variable the network reports
    inputs: tuple[str, ...] = ()  # variables read besides the targets; empty: every variable the network reports
    ensemble_size: int = 4  # networks from different seeds, averaged; 0: the baselines alone
    learning_rate: float = 1e-2  # the highest, after the warm-up; then it falls towards zero
    weight_decay: float = 1e-2
    batch_size: int = 128  # B
    steps_per_epoch: int = 120
    ema_decay: float = 0.99  # decay of the running average of the weights; the average is what a checkpoint holds
    epochs: int | None = None  # of each network, at most; None: as many as fit into `max_minutes` (training/plan.py)
    patience: int = 2  # epochs without a better validation loss before stopping
    input_dropout: float = 0.2  # probability that a training window gets a simulated outage
    validation_days: int = 60  # block of time for early stopping; shortened where there is little history
    holdout_days: int = 60  # newest block, only for the comparison with champion and baselines
    max_minutes: float = 10.0  # for a training: decides its epochs, and no further member starts after it
    first_max_minutes: float = 3.0  # the same for the training that follows the very first forecast
    least_training_days: int = 30
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"  # of the forward pass in training; weights stay float32
    processes: int = 1  # that train one network together, each on its own GPU
    base: bool = True  # the base network takes part: by itself, and in the mean with the networks
    warm_start: bool = False  # start from the champion's weights
    seed: int = 1

    @property
    def most_epochs(self) -> int:
        """The number of epochs without early stopping: `epochs`, or the longest of EPOCHS before a plan is made."""
        return EPOCHS[-1] if self.epochs is None else self.epochs

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "ModelConfig":
        """The configuration of a JSON object: its lists become tuples, and settings of earlier versions get their new names."""
        renamed = OLD_DEFAULTS | {OLD_NAMES.get(name, name): value for name, value in fields.items()}
        given: dict[str, Any] = {
            name: tuple(each) if isinstance(each, list) else each for name, each in renamed.items()
        }
        return cls(**given)
