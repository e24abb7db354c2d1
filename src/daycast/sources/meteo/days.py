"""The days that are asked for at once."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from daycast.times import DAY


@dataclass(frozen=True)
class Days:
    """Whole days, UTC, from `first` to `last`, both included, as Open-Meteo counts them."""

    first: date
    last: date

    @property
    def begin(self) -> datetime:
        """The first instant."""
        return datetime.combine(self.first, time(), UTC)

    @property
    def end(self) -> datetime:
        """The instant after the last."""
        return datetime.combine(self.last, time(), UTC) + DAY

    def __str__(self) -> str:
        return f"{self.first:%Y-%m-%d}..{self.last:%Y-%m-%d}"


def pieces_of(days: Days, length: int) -> Iterator[Days]:
    """`days` in order, without gap or overlap, cut after every day whose number is one less than a multiple of `length`.

    Days are numbered from 1 January of year 1, so that the cuts do not depend on where `days` begin: a piece in the middle is
    the same piece in every run.
    """
    first = days.first
    while first <= days.last:
        last = min(date.fromordinal((first.toordinal() // length + 1) * length - 1), days.last)
        yield Days(first, last)
        first = last + timedelta(days=1)
