"""Train the members of an ensemble one after the other, and let validation choose among cells."""

import itertools
from collections.abc import Callable
from dataclasses import replace

from daycast.model.architectures.cells import AUTO
from daycast.model.circumstances import FRESH, Circumstances
from daycast.model.config import ModelConfig
from daycast.model.ensemble import Ensemble
from daycast.model.seq2seq import Seq2Seq
from daycast.model.train import Lesson, Progress, train_seq2seq, validation_loss
from daycast.model.warm_start import next_beginning

_MARGIN = (
    0.01  # by which one kind alone must validate better than all together, for what averages more errs less next year
)
Member = tuple[str, Seq2Seq]  # the cell and the network


def train_ensemble(
    lesson: Lesson,
    config: ModelConfig,
    watch: Callable[[Progress], None],
    circumstances: Circumstances = FRESH,
) -> tuple[tuple[str, ...], Ensemble, dict[str, float]]:
    """The cells of the members chosen, the members, and the validation loss of every choice there was.

    With `cell = "auto"` the members take turns being GRU and LSTM, and whichever validates best serves: one kind, or all of
    them together. No further member is begun once `longest_minutes` are over.
    """
    cells = itertools.cycle(AUTO if config.cell == "auto" else (config.cell,))
    spent, members = 0.0, list[Member]()
    for number, cell in zip(range(1, config.members + 1), cells, strict=False):
        if members and circumstances.ranks.of_first(spent) > 60 * config.longest_minutes:
            break
        begun = sum(other == cell for other, _ in members)
        trained = train_seq2seq(
            cell,
            1000 * config.seed + number,
            lesson,
            config,
            _numbered(watch, number, config.members),
            state=circumstances.state_of(f"{number}-{cell}"),
            beginning=next_beginning(lesson.beginnings, cell, begun),
            ranks=circumstances.ranks,
        )
        members.append((cell, trained.net))
        spent += trained.seconds
    choices = {cell: [member for member in members if member[0] == cell] for cell, _ in members}
    if len(choices) > 1:
        choices["+".join(choices)] = members
    ensembles = {name: Ensemble([net for _, net in chosen]) for name, chosen in choices.items()}
    losses = {name: validation_loss(ensemble, lesson.validation) for name, ensemble in ensembles.items()}
    best = min(
        losses, key=lambda name: losses[name] * (1 if len(ensembles[name].members) == len(members) else 1 + _MARGIN)
    )
    return tuple(cell for cell, _ in choices[best]), ensembles[best], losses


def _numbered(watch: Callable[[Progress], None], number: int, of: int) -> Callable[[Progress], None]:
    return lambda progress: watch(replace(progress, member=number, members=of))
