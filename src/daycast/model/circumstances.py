"""Where a training leaves its state, what it begins with, and with whom it is shared."""

from dataclasses import dataclass
from pathlib import Path

from daycast.model.distributed import ALONE, Ranks


@dataclass(frozen=True)
class Circumstances:
    """What a training meets beside its data and its configuration; by default it begins with nothing and leaves nothing."""

    keep: Path | None = None  # beginning of the names of the files that hold the state of each network in training
    champion: Path | None = None  # the checkpoint whose networks it begins with
    ranks: Ranks = ALONE

    def state_of(self, member: str) -> Path | None:
        """The file of one member's state, of this process."""
        process = f"-{self.ranks.rank}" if self.ranks.rank else ""
        return None if self.keep is None else self.keep.with_name(f"{self.keep.name}.{member}{process}.resume")


FRESH = Circumstances()
