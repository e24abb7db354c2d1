"""Is everything in order? One line a check, and what to do about each that fails."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from daycast.errors import DaycastError, ModelError, SourceError
from daycast.model.checkpoint import check_checkpoint
from daycast.model.device import choose_device
from daycast.quality.contracts import check_contracts_are_on
from daycast.settings import Settings
from daycast.sources.batch import Source
from daycast.times import parse_duration
from daycast.warehouse.forecasts import count_external_forecasts
from daycast.warehouse.lake import Lake
from daycast.warehouse.models import read_champion, read_fallbacks
from daycast.warehouse.warehouse import read_frame

# What an operator should hear about stations: one fell silent, one seems to report in local time.


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
    with settings.warehouse.read(now) as con:
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


_LEAST_FREE_GB = 1.0


@dataclass(frozen=True)
class Finding:
    """One check and what came of it."""

    check: str
    well: bool
    detail: str

    def __str__(self) -> str:
        return f"{'ok  ' if self.well else 'FAIL'} {self.check}: {self.detail}"


def examine(settings: Settings, now: datetime, until: datetime | None = None) -> Iterator[Finding]:
    """Check contracts, device, disk, warehouse, the champion's checkpoint and each source.

    Every check is made, whatever the others say. until: the sources are asked for what was received up to then, by default `now`.
    """
    yield _check("contracts", _contracts)
    yield _check("device", lambda: f"training runs on {choose_device(settings.model.device)}")
    yield _check("disk", lambda: _free_space(settings))
    yield _check("warehouse", lambda: _describe_warehouse(settings, now))
    yield _check("champion", lambda: _check_champion(settings, now))
    for source in settings.sources:
        yield _check(f"source {source.name}", lambda source=source: _first_delivery(settings, source, until or now))  # type: ignore[misc]


def _check(name: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(name, well=True, detail=check())
    except DaycastError as error:
        return Finding(name, well=False, detail=str(error))
    except Exception as error:  # noqa: BLE001 - what no check expects is a finding, too
        line = next(iter(str(error).splitlines()), "")
        return Finding(name, well=False, detail=f"{type(error).__name__}: {line}")


def _contracts() -> str:
    check_contracts_are_on()
    return "pandera checks values"


def _free_space(settings: Settings) -> str:
    place = next(folder for folder in (settings.data, *settings.data.parents) if folder.exists())
    free = shutil.disk_usage(place).free / 1e9
    if free < _LEAST_FREE_GB:
        raise SourceError(f"only {free:.1f} GB free under {place}: make room")
    return f"{free:.0f} GB free under {place}"


def _describe_warehouse(settings: Settings, now: datetime) -> str:
    with settings.warehouse.read(now, wait_s=5) as con:
        rows, stations, newest = count_external_forecasts(con)
    others = (
        f"; {rows:,} hours that others forecast for {stations} stations, newest issue {newest:%Y-%m-%dT%H:%MZ}"
        if newest
        else ""
    )
    where = settings.warehouse.where
    return f"{where}{f' with its rows at {where.data}' if isinstance(where, Lake) else ''}{others}"


def _check_champion(settings: Settings, now: datetime) -> str:
    """Its checkpoint has all that serves: its networks, and the baselines that serve in their place."""
    with settings.warehouse.read(now, wait_s=5) as con:
        champion = read_champion(con)
        fallbacks = read_fallbacks(con, champion.model_id) if champion else ()
    if champion is None:
        return "not trained yet"
    path = settings.checkpoints / champion.checkpoint
    needed = {champion.forecaster, *(one.forecaster for one in fallbacks)}
    if missing := sorted(needed - set(check_checkpoint(path))):
        raise ModelError(f"{path} has no {missing[0]}, which serves: `daycast retrain`")
    return f"{champion.model_id}, its checkpoint is whole"


def _first_delivery(settings: Settings, source: Source, until: datetime) -> str:
    listed = len(source.stations())
    delivery = next(iter(source.fetch(None, until, settings.glossary, ())), None)
    if delivery is None:
        return f"{listed} stations listed, nothing delivered up to {until.isoformat()}"
    return f"{listed} stations listed; {delivery.origin} has {len(delivery.readings):,} rows, {len(delivery.problems):,} problems"
