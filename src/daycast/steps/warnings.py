"""What an operator should hear about stations: one fell silent, one seems to report in local time."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from daycast.settings import Settings
from daycast.times import parse_duration
from daycast.warehouse.connect import open_warehouse, read_frame

_LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class StationWarning:
    """One thing about one station, said when it began and not every hour."""

    event: str  # its name for the orchestrator
    station_id: str
    message: str

    def __str__(self) -> str:
        return f"station {self.station_id} {self.message}"

    def payload(self) -> dict[str, str]:
        """The warning as an event's payload."""
        return asdict(self)


def find_warnings(settings: Settings, now: datetime) -> list[StationWarning]:
    """What is new since the last ingest: stations silent for longer than ingest.silent_after; once a day, doubtful clocks."""
    silence = parse_duration(settings.ingest.silent_after)
    with open_warehouse(settings.warehouse, settings.glossary.values(), now) as con:
        before: datetime | None = read_frame(con, "select_previous_run", flow="ingest", now=now).item()
        since_before = before - silence if before else _LONG_AGO
        silent = read_frame(
            con, "select_newly_silent_stations", now=now, since=now - silence, since_before=since_before
        )
        a_new_day = before is None or before.date() < now.date()
        clocks = read_frame(con, "select_clock_suspects") if a_new_day else None
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
