"""What can be chosen about the model and its training; every field is explained in the file `daycast init` writes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

QUANTILES = (0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95)  # Q: the levels of every forecast
Cell = Literal["gru", "lstm", "rnn", "auto"]
MEDIAN = QUANTILES.index(0.50)
EPOCHS = (1, 2, 3, 5)  # the ladder of trainings; what each costs in skill: tests/benchmarks/EXPERIMENTS.md
OLD_NAMES = {  # of settings, in earlier versions and in the headers of their checkpoints
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


@dataclass(frozen=True)
class ModelConfig:
    """Architecture and training of one challenger."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    cell: Cell = "auto"
    hidden_size: int = 64  # D
    layers: int = 1
    dropout: float = 0.2
    bidirectional: bool = False  # the encoder also reads the history backwards
    attention: bool = False  # each lead looks back over all hours of the history
    layer_norm: bool = False
    chrono_init: bool = False  # gates begin open, so that units remember for up to the whole history
    station_summary: bool = False  # the decoder is told the elevation and what the station's own week was like
    decoder: Literal["direct", "autoregressive"] = "direct"
    teacher_forcing_ratio: float = (
        1.0  # of the true values that an autoregressive decoder is shown when training begins
    )
    final_teacher_forcing_ratio: float = 0.0
    targets: tuple[str, ...] = ()  # empty: every target variable the network reports
    inputs: tuple[str, ...] = ()  # what is read besides the targets; empty: every variable the network reports
    ensemble_size: int = 4  # networks from different seeds, averaged; 0: ridge and the naive baselines alone
    learning_rate: float = 1e-2  # at its height: it warms up, and falls to nothing
    weight_decay: float = 1e-2
    batch_size: int = 128  # B
    steps_per_epoch: int = 120
    ema_decay: float = 0.99  # decay of the running average of the weights, which is what is kept
    epochs: int | None = None  # of each network, at most; None: planned, as many as `max_minutes` allow (model.plan)
    patience: int = 2  # epochs without a better validation loss before stopping
    input_dropout: float = 0.2  # share of training windows in which an outage or scattered holes are simulated
    validation_days: int = 60  # block of time for early stopping; shortened where there is little history
    holdout_days: int = 60  # newest block, for the judgement alone
    max_minutes: float = 10.0  # for a training: its epochs are planned by it, and no further member is begun after it
    first_max_minutes: float = 3.0  # the same of the training that follows the very first forecast
    least_training_days: int = 30
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"  # of the forward pass in training; weights stay float32
    processes: int = 1  # that train together, each on a GPU of its own
    warm_start: bool = False  # begin with the champion's networks
    seed: int = 1

    @property
    def most_epochs(self) -> int:
        """How many epochs each network is trained if it does not stop early; while nothing is planned, the longest of EPOCHS."""
        return EPOCHS[-1] if self.epochs is None else self.epochs

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "ModelConfig":
        """From what JSON made of the fields: its lists are tuples here."""
        renamed = {OLD_NAMES.get(name, name): value for name, value in fields.items()}
        given: dict[str, Any] = {
            name: tuple(each) if isinstance(each, list) else each for name, each in renamed.items()
        }
        return cls(**given)
