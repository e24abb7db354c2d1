"""Warnings about stations, given once when the problem starts: a station fell silent, or its clock does not run on UTC.

The flow `ingest` asks for them after each ingest, logs them, shows them in its summary and sends an event for each. What
is odd about rows is no such warning: bad rows are rejected, and doubtful ones become doubts.
"""

from dataclasses import asdict, dataclass
from datetime import datetime

from daycast.settings import Settings
from daycast.times import FIRST_TIME, parse_duration
from daycast.warehouse.warehouse import read_frame


@dataclass(frozen=True)
class StationWarning:
    """A warning about one station, given once when the problem starts."""

    event: str  # the name of the event in Prefect
    station_id: str
    message: str

    def __str__(self) -> str:
        return f"station {self.station_id} {self.message}"

    def payload(self) -> dict[str, str]:
        """The warning as the payload of an event."""
        return asdict(self)


def find_warnings(settings: Settings, now: datetime) -> list[StationWarning]:
    """The warnings that are new since the last ingest.

    Stations that became silent for longer than `ingest.silent_after`; at the first ingest of a UTC day also stations whose clock
    does not seem to run on UTC.
    """
    silence = parse_duration(settings.ingest.silent_after)
    with settings.warehouse.read(now) as con:
        before: datetime | None = read_frame(con, "select_previous_run", flow="ingest", now=now).item()
        since_before = before - silence if before else FIRST_TIME
        silent = read_frame(
            con, "select_newly_silent_stations", now=now, since=now - silence, since_before=since_before
        )
        is_first_of_day = before is None or before.date() < now.date()
        clocks = read_frame(con, "select_clock_suspects") if is_first_of_day else None
    warnings = [
        StationWarning("daycast.station.silent", station, f"is silent: last heard of {last:%Y-%m-%d %H:%M} UTC")
        for station, last in silent.iter_rows()
    ]
    if clocks is not None:
        warnings += [
            StationWarning(
                "daycast.station.clock",
                station,
                f"seems not to report in UTC: its days are warmest {abs(offset):.0f} h {'late' if offset > 0 else 'early'} "
                "by the sun (see station_clock); set the timezone of its source",
            )
            for station, offset in clocks.iter_rows()
        ]
    return warnings
