"""Something tiny to learn: the four windows of one station of noise."""

from collections.abc import Callable

import torch

from daycast.features.splits import Block
from daycast.model.config import ModelConfig
from daycast.model.linear.fit import CrossFit
from daycast.model.linear.ridge import ridge_features
from daycast.model.training.parallel import ALONE, Ranks
from daycast.model.training.sampling import eligible_origins
from daycast.model.training.state import TrainingData
from daycast.model.training.trainer import Member, Progress, Trained, train_together
from daycast.model.windows import Batch, Windows

TINY = ModelConfig(
    hidden_size=12, dropout=0.0, ema_decay=0.0, batch_size=8, steps_per_epoch=4, epochs=2, input_dropout=0.5
)
BLOCK = Block(0, 168 + 24 + 3)  # four windows a station


def make_training_data(windows: Windows, block: Block, validation: list[Batch]) -> TrainingData:
    """All windows of a block, with a linear path that is persistence."""
    none = torch.zeros(168 + 121, 24)
    fold = torch.zeros(block.end, dtype=torch.int64)
    return TrainingData(
        windows=windows,
        block=block,
        eligible=eligible_origins(windows.panel, block, 1),
        linear=CrossFit(none, none[None], (1.0,), fold, ridge_features),
        quantile_steps=torch.full((24, 1, 7), 0.3),
        validation=[(batch, batch.last[:, None, :1].expand(-1, 24, -1)) for batch in validation],
    )


def train_alone(
    member: Member,
    training_data: TrainingData,
    config: ModelConfig,
    on_progress: Callable[[Progress], None] = lambda _: None,
    ranks: Ranks = ALONE,
) -> Trained:
    """A training of one network."""
    return train_together([member], training_data, config, on_progress, ranks)[0]
