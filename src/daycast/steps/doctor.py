"""Doctor: is everything in order? One result per check, with a way out for each that fails; and warnings about stations."""

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path, PurePath

import polars as pl

from daycast.errors import ContractError, DaycastError, ModelError, StorageError, listed
from daycast.files import explain
from daycast.model.checkpoint import check_checkpoint
from daycast.model.device import choose_device
from daycast.quality.contracts import check_contracts_are_on
from daycast.report.source_view import WIDTH, RefusedRow, SourceView, render_refused, render_source
from daycast.report.terminal import wrap
from daycast.settings import Settings
from daycast.sources.batch import Source
from daycast.sources.files.inbox import Inbox
from daycast.stations import STATION_SCHEMA
from daycast.steps.preview import Preview, preview_source
from daycast.steps.reasons import Reason
from daycast.steps.serving import list_sources
from daycast.steps.unmapped import unmapped_columns
from daycast.warehouse.forecasts import count_external_forecasts
from daycast.warehouse.lake import Lake
from daycast.warehouse.models import read_champion, read_fallbacks
from daycast.warehouse.observations import read_stations
from daycast.warehouse.readings import read_origins, upsert_stations
from daycast.warehouse.warehouse import Warehouse, transaction

_LEAST_FREE_GB = 1.0
_NAMED = 3  # stations
_INDENT = " " * len("warn ")  # of the further lines of a result
_NUMBERED = re.compile(r"-\d+(\.[^.]*)$")  # what a name gets in a folder that has it already


@dataclass(frozen=True)
class CheckResult:
    """The result of one check."""

    check: str
    ok: bool
    detail: str
    is_warning: bool = False  # everything works; this is what to look at
    below: tuple[str, ...] = ()  # lines to show below it

    def __str__(self) -> str:
        word = "warn" if self.is_warning else "ok  " if self.ok else "FAIL"
        return f"{word} {self.check}: {self.detail}"

    def lines(self) -> list[str]:
        """The result for a terminal of WIDTH cells, with the lines below it. Paths stay in one piece."""
        indent = len(_INDENT)
        first, *others = wrap(str(self)[indent:], WIDTH - indent, chop=False)
        return [str(self)[:indent] + first, *(_INDENT + line for line in others), *self.below]


def examine(settings: Settings, now: datetime, until: datetime | None = None) -> Iterator[CheckResult]:
    """Check contracts, device, disk, warehouse, the champion's checkpoint and each source.

    Every check runs, even if others fail. until: the sources are asked for what they received up to then, by default `now`. A
    source is loaded as its first ingest would, or a sample of it. Below its last result stands what was understood of it.
    """
    yield _check("contracts", _contracts)
    yield _check("device", lambda: f"training runs on {choose_device(settings.model.device)}")
    yield _check("disk", lambda: _check_disk(settings))
    yield _check("warehouse", lambda: _describe_warehouse(settings, now))
    yield _check("champion", lambda: _check_champion(settings, now))
    yield from _retired_sources(settings, now)
    places = _Places(settings, now)
    with tempfile.TemporaryDirectory(prefix="daycast-doctor-") as folder:
        scratch = Warehouse(Path(folder) / "trial.duckdb", settings.glossary.values())
        places.write_into(scratch, now)
        trial = _Trial(settings, until or now, now, places, scratch)
        for source in settings.sources:
            yield from trial.examine(source)


def _check(name: str, check: Callable[[], str]) -> CheckResult:
    """Run one check, which returns what it found or raises; any error is a failed result."""
    try:
        return CheckResult(name, ok=True, detail=check())
    except DaycastError as error:
        return CheckResult(name, ok=False, detail=str(error))
    except Exception as error:  # noqa: BLE001 - an unexpected error is a failed check, too
        line = next(iter(str(error).splitlines()), "")
        return CheckResult(name, ok=False, detail=f"{type(error).__name__}: {line}")


def _contracts() -> str:
    check_contracts_are_on()
    return "pandera checks values"


def _check_disk(settings: Settings) -> str:
    """Check that there is room in the data folder, and that it can be written or made."""
    place = next(folder for folder in (settings.data, *settings.data.parents) if folder.exists())
    free = shutil.disk_usage(place).free / 1e9
    if free < _LEAST_FREE_GB:
        raise StorageError(f"only {free:.1f} GB free under {place}: make room")
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise StorageError(explain(error, place) or f"{place} cannot be written: {error.strerror}") from error
    return f"{free:.0f} GB free under {place}"


def _describe_warehouse(settings: Settings, now: datetime) -> str:
    with settings.warehouse.read(now, wait_s=5) as con:
        rows, stations, newest = count_external_forecasts(con)
    external = (
        f"; {rows:,} hours of external forecasts for {stations} stations, the newest issued {newest:%Y-%m-%dT%H:%MZ}"
        if newest
        else ""
    )
    where = settings.warehouse.where
    return f"{where}{f' with its rows at {where.data}' if isinstance(where, Lake) else ''}{external}"


def _retired_sources(settings: Settings, now: datetime) -> Iterator[CheckResult]:
    """A warning for each source that delivered stations which are not served any more, because of it or by hand."""
    with suppress(DaycastError, OSError):  # its own check tells what is wrong with the warehouse
        for one in list_sources(settings, now):
            if one.is_retired and one.stations:
                yield CheckResult("retired", ok=True, detail=str(one), is_warning=True)


def _check_champion(settings: Settings, now: datetime) -> str:
    """Check that the champion's checkpoint has every forecaster that serves: its own, and its fallbacks."""
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


@dataclass(frozen=True)
class _Trial:
    """The check of the sources, one after the other: each is loaded as ingest would, into a warehouse that is thrown away."""

    settings: Settings
    until: datetime
    now: datetime
    places: "_Places"
    scratch: Warehouse

    def examine(self, source: Source) -> Iterator[CheckResult]:
        """Its result, ok only if ingest would take in everything; then its warnings, and below the last what was understood."""
        name, told = f"source {source.name}", _Told()
        result = _check(name, lambda: self._check(source, told))
        withheld = [_warning(name, one) for one in told.withheld]
        results = withheld if result.ok and withheld else [result, *withheld]
        results[0] = replace(results[0], below=tuple(told.examples))
        results += [_warning(name, doubt) for doubt in told.doubts]
        yield from results[:-1]
        yield replace(results[-1], below=(*results[-1].below, *told.below))

    def _check(self, source: Source, told: "_Told") -> str:
        """Describe what ingest would take in. Raises what it would raise, after `told` has what is to be shown all the same."""
        settings, places, until = self.settings, self.places, self.until
        stations = source.stations()
        places.add(stations)
        preview = preview_source(settings, source, stations, until, places.known, self.scratch)
        told.withheld = list(_withheld(preview, is_now=until >= self.now))
        told.doubts = [*_flagged(preview), *preview.doubts, *_doubts(preview, places.longitudes)]
        told.examples = render_refused([_refused_row(one) for one in preview.reasons.commonest("row", "value")])
        if preview.head:
            told.below = render_source(_view(source, preview, places, until), settings.glossary)
        preview.raise_errors()
        unknown = _describe_unknown(settings, source, until) if isinstance(source, Inbox) else ""
        if not preview.head:
            return f"{len(stations)} stations listed, nothing delivered up to {until.isoformat()}{unknown}"
        have = "have" if preview.part.endswith((" files", " batches")) else "has"
        return f"{len(stations)} stations listed; {preview.part} {have} {preview.rows:,} rows, 0 problems{unknown}"


@dataclass
class _Told:
    """What is said of a source besides its result.

    withheld: what ingest would not take in; examples: rows that it would refuse, in lines. doubts: what is odd. below: the lines
    that show what was understood.
    """

    withheld: Sequence[str] = ()
    examples: Sequence[str] = ()
    doubts: Sequence[str] = ()
    below: Sequence[str] = ()


def _warning(check: str, detail: str) -> CheckResult:
    return CheckResult(check, ok=True, detail=detail, is_warning=True)


class _Places:
    """The stations that are known: those of the warehouse, and those that the sources list, one after the other.

    known: station_id, latitude, longitude; null where unknown.
    """

    def __init__(self, settings: Settings, now: datetime) -> None:
        self.known = pl.DataFrame(schema={"station_id": pl.String, "latitude": pl.Float64, "longitude": pl.Float64})
        with suppress(DaycastError, OSError), settings.warehouse.read(now, wait_s=5) as con:
            self.add(read_stations(con))  # its own check tells what is wrong with the warehouse

    def add(self, stations: pl.DataFrame) -> None:
        """Add stations, in place of those of the same id that have no position."""
        both = pl.concat([self.known, stations.select(self.known.columns).cast(self.known.schema)])
        self.known = both.sort("longitude", nulls_last=True, maintain_order=True).unique("station_id", keep="first")

    def write_into(self, warehouse: Warehouse, now: datetime) -> None:
        """Let the stations be known there too, so that others whose ids are written in another way are noticed."""
        absent = [
            pl.lit(None, kind).alias(name) for name, kind in STATION_SCHEMA.items() if name not in self.known.columns
        ]
        stations = self.known.with_columns(absent).select(STATION_SCHEMA.keys())
        with warehouse.write(now) as con, transaction(con):
            upsert_stations(con, stations, stations.clear())

    @property
    def longitudes(self) -> dict[str, float]:
        """The longitude of each station that has a position."""
        return dict(self.known.drop_nulls("longitude").select("station_id", "longitude").iter_rows())


def _withheld(preview: Preview, *, is_now: bool) -> Iterator[str]:
    """What ingest would not take in, in words, without what the errors tell."""
    is_told = not preview.kept or any(isinstance(error, ContractError) for error in preview.errors)
    if (refused := str(preview.reasons)) and not is_told:
        way_out = "correct the column, its unit, format or missing markers"
        yield f"{refused} would be refused: {preview.reasons.summary()}; {way_out}"
    if preview.left:
        left = f"{len(preview.left):,} file{'s' if len(preview.left) > 1 else ''} would be left for a later ingest"
        yield f"{left}, still written to or empty (settle): {listed(preview.left)}"
    if preview.waiting and is_now:
        waiting = f"{preview.waiting:,} rows would wait, because they are stamped later than now"
        yield f"{waiting}: if they are no forecasts, look at the timezone and the format of times"
    elif preview.head and not preview.rows:
        yield f"{preview.part} {'have' if preview.part.endswith(' files') else 'has'} no row"


def _refused_row(reason: Reason) -> RefusedRow:
    where = f"{reason.origin}, row {reason.number:,}"
    return RefusedRow(reason.column, reason.count, where, reason.row)


def _flagged(preview: Preview) -> Iterator[str]:
    """A doubt about values that would be kept and flagged."""
    if preview.reasons.flagged:
        reasons = "; ".join(map(str, preview.reasons.commonest("use")))
        count = preview.reasons.flagged
        values = "1 value" if count == 1 else f"{count:,} values"
        yield f"{values} would be kept, flagged and not used: {reasons}"


def _doubts(preview: Preview, longitudes: Mapping[str, float]) -> list[str]:
    """Doubts that need the positions of stations."""
    if preview.profile is None:
        return []
    coverage = preview.profile.coverage
    ids = coverage.station_ids if coverage else ()
    unlisted = [station for station in ids if station not in longitudes]
    found = []
    if unlisted and longitudes:
        named = ", ".join(map(repr, unlisted[:_NAMED])) + (" …" if len(unlisted) > _NAMED else "")
        found.append(
            f"{len(unlisted):,} of {len(ids):,} stations are in no station list, or without a position ({named}): "
            "add them to station_list, or write their ids alike"
        )
    if suspects := preview.profile.clock_suspects:
        first = suspects[0]
        late = f"{abs(first.offset_h):.0f} h {'late' if first.offset_h > 0 else 'early'}"
        found.append(
            f"the days of {len(suspects):,} of {len(ids):,} stations are not warmest in the afternoon by the sun (station "
            f"{first.station_id!r} is {late}): check timezone, and the longitude in station_list"
        )
    return found


def _view(source: Source, preview: Preview, places: _Places, until: datetime) -> SourceView:
    waiting = (
        f"; {preview.waiting:,} more wait, stamped later than {until:%Y-%m-%d %H:%M} UTC" if preview.waiting else ""
    )
    limit = f"; {preview.limit}" if preview.limit else ""
    return SourceView(
        read=f"{preview.part}: {preview.rows:,} rows{waiting}{limit}",
        sample=preview.sample,
        profile=preview.profile,
        names=preview.names,
        zone=getattr(source, "timezone", None),
        longitudes=places.longitudes,
        has_gaps=preview.has_gaps,
        columns=unmapped_columns(source, [preview.head] if preview.head else []),
    )


def _describe_unknown(settings: Settings, inbox: Inbox, now: datetime) -> str:
    """What to do about files that were put away and that the warehouse has no batch of: an older copy of it was put back."""
    names = inbox.files_put_away()
    if not names:
        return ""
    with settings.warehouse.read(now, wait_s=5) as con:
        known = {PurePath(origin.partition(" from ")[0]).name for origin in read_origins(con, inbox.name)}
    unknown = [name for name in names if name not in known and _NUMBERED.sub(r"\1", name) not in known]
    if not unknown:
        return ""
    files = f"{len(unknown):,} of the {len(names):,} files put away are in no batch ({', '.join(unknown[:2])}…)"
    return f"; {files}: if an older warehouse was put back, move them back to be loaded again"
