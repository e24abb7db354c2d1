"""Train the members of an ensemble, as many at once as there are cores, and let validation choose among cells."""

from collections.abc import Callable, Sequence

from daycast.model.architectures.cells import AUTO
from daycast.model.circumstances import FRESH, Circumstances
from daycast.model.config import ModelConfig
from daycast.model.distributed import Ranks
from daycast.model.ensemble import Ensemble
from daycast.model.lesson import Lesson
from daycast.model.seq2seq import Seq2Seq
from daycast.model.side_by_side import threads_for
from daycast.model.train import Member, Progress, train_together
from daycast.model.train_epoch import validation_loss
from daycast.model.warm_start import next_beginning

_MARGIN = (
    0.01  # by which one kind alone must validate better than all together, for what averages more errs less next year
)


def train_ensemble(
    lesson: Lesson,
    config: ModelConfig,
    watch: Callable[[Progress], None],
    circumstances: Circumstances = FRESH,
) -> tuple[tuple[str, ...], Ensemble, dict[str, float]]:
    """The cells of the members chosen, the members, and the validation loss of every choice there was.

    With `cell = "auto"` the members take turns being GRU and LSTM, and whichever validates best serves: one kind, or all of
    them together. No further members are begun once `longest_minutes` are over.
    """
    kinds, ranks = AUTO if config.cell == "auto" else (config.cell,), circumstances.ranks
    waiting = [_make_member(number, kinds, lesson, config, circumstances) for number in range(config.members)]
    at_once, spent, trained = _at_once(lesson, config, ranks), 0.0, list[tuple[str, Seq2Seq]]()
    for some in (waiting[k : k + at_once] for k in range(0, len(waiting), at_once)):
        if trained and ranks.of_first(spent) > 60 * config.longest_minutes:
            break
        done = train_together(some, lesson, config, watch, ranks)
        trained += [(member.cell, one.net) for member, one in zip(some, done, strict=True)]
        spent += max(one.seconds for one in done)
    return _choose(trained, lesson)


def _make_member(
    number: int, kinds: Sequence[str], lesson: Lesson, config: ModelConfig, circumstances: Circumstances
) -> Member:
    """number: counted from 0."""
    cell, begun = kinds[number % len(kinds)], number // len(kinds)
    state = circumstances.state_of(f"{number + 1}-{cell}")
    beginning = next_beginning(lesson.beginnings, cell, begun)
    return Member(cell, 1000 * config.seed + number + 1, number + 1, state, beginning)


def _at_once(lesson: Lesson, config: ModelConfig, ranks: Ranks) -> int:
    """How many members train at the same time. Between stacked layers dropout draws from torch's only generator: one."""
    return 1 if ranks.size > 1 or config.layers > 1 else threads_for(lesson.windows.device)


def _choose(
    members: Sequence[tuple[str, Seq2Seq]], lesson: Lesson
) -> tuple[tuple[str, ...], Ensemble, dict[str, float]]:
    choices: dict[str, Sequence[tuple[str, Seq2Seq]]] = {
        cell: [member for member in members if member[0] == cell] for cell, _ in members
    }
    if len(choices) > 1:
        choices["+".join(choices)] = members
    ensembles = {name: Ensemble([net for _, net in chosen]) for name, chosen in choices.items()}
    losses = {name: validation_loss(ensemble, lesson.validation) for name, ensemble in ensembles.items()}
    best = min(
        losses, key=lambda name: losses[name] * (1 if len(ensembles[name].members) == len(members) else 1 + _MARGIN)
    )
    return tuple(cell for cell, _ in choices[best]), ensembles[best], losses
