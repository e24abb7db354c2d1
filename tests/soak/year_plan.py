"""What befalls a year of operation, and when: drawn from a seed, so that it can be lived through again."""

import os
import random
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

YEAR_DAYS, YEAR_KILLS = 365, 1000
JUMPS = (timedelta(hours=3), timedelta(minutes=-64), timedelta(days=3650), timedelta(days=-3650))
DISK_FULL_HOURS = 2
ONCE = [  # each of these, at an hour of its own
    *["disk full: the warehouse cannot grow", "disk full: no file beyond a half of it"],
    *(f"clock jumps by {jump}" for jump in JUMPS),
    *["schema upgraded: a column", "schema upgraded: a table"],
    *["checkpoint corrupted", "published file corrupted"],
]
MADE_GOOD_AFTER = 1  # hours, until an operator, who was told, puts back the checkpoint from a backup


@dataclass(frozen=True)
class Size:
    """How long it lasts, how often a process is killed, and the seed of all that is drawn."""

    days: int
    kills: int
    seed: int

    @property
    def hours(self) -> int:
        """Its length."""
        return 24 * self.days


def read_size() -> Size:
    """The size that the environment asks for, by default a year; takes its variables out of it, for they are no settings."""
    days = int(os.environ.pop("DAYCAST_CHAOS_DAYS", YEAR_DAYS))
    kills = int(os.environ.pop("DAYCAST_CHAOS_KILLS", max(round(YEAR_KILLS * days / YEAR_DAYS), 1)))
    return Size(days, kills, int(os.environ.pop("DAYCAST_CHAOS_SEED", 1)))


@dataclass(frozen=True)
class Kill:
    """A SIGKILL: how far in the hour's work, and whether from outside at that moment or at that call of its own."""

    share: float  # of the hour's work, by time
    at_call: bool


def plan_kills(size: Size) -> Mapping[int, list[Kill]]:
    """The kills of each hour that has any."""
    rng, kills = random.Random(f"{size.seed} kills"), defaultdict(list)
    for _ in range(size.kills):
        kills[rng.randrange(size.hours)].append(Kill(rng.random(), rng.random() < 0.5))
    return {hour: sorted(some, key=lambda kill: kill.share) for hour, some in kills.items()}


def plan_events(size: Size) -> Mapping[int, str]:
    """What happens once, by hour: in as many equal parts of the time, so that no two meet; not in the first day."""
    rng, each = random.Random(f"{size.seed} events"), (size.hours - 24) / len(ONCE)
    order = rng.sample(ONCE, len(ONCE))
    return {int(24 + each * (number + rng.random() * 0.5)): what for number, what in enumerate(order)}
