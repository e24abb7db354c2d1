"""Propose a source: the `[[sources]]` table for a file, tried out on the file."""

import glob
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

import polars as pl

from daycast.errors import SourceError
from daycast.settings import Settings
from daycast.sources.batch import SourceBatch
from daycast.sources.guess.source import Proposal, propose
from daycast.sources.guess.written import to_toml
from daycast.steps.doubts import find_doubts
from daycast.variables import Variable

_SHOWN = 3  # problems
_MANY = 12  # columns that are not read


def propose_source(path: Path, folder: Path, now: datetime) -> str:
    """The table as TOML, with what is a guess beside it, and above it what it reads.

    path: a file, a folder of files, or a pattern such as readings/*.csv; of several files the newest is looked at. `folder` is
    that of the configuration. Raises SourceError for a file that cannot be read, or in which no table, time or variable can be
    made out.
    """
    path, pattern = _look_for(path)
    home = folder.resolve()
    where = path.resolve().parent
    inside = (where.relative_to(home) if where.is_relative_to(home) else where).as_posix()
    proposal = propose(path, (Path(glob.escape(inside)) / pattern).as_posix())
    # of several files, the one that was looked at
    tried = {"files": glob.escape(str(path.resolve()))} if "files" in proposal.settings else {}
    settings = Settings.model_validate({"sources": [proposal.settings | tried]}, context={"folder": folder})
    known = f" (a known layout: {proposal.layout})" if proposal.layout else ""
    notes = [f"From {path.name}{known}.", *_try(proposal, settings, now)]
    if proposal.unread:
        more = " …" if len(proposal.unread) > _MANY else ""
        notes.append(f"Not read: {', '.join(proposal.unread[:_MANY])}{more}.")
    return "".join(f"# {' '.join(note.split())}\n" for note in notes) + to_toml(proposal.settings, proposal.doubts)


def _look_for(path: Path) -> tuple[Path, str]:
    """The file to look at, and the pattern in its folder that it stands for."""
    if path.is_dir():
        inside, pattern = path, "*"
    elif not path.exists() and glob.has_magic(path.name) and path.parent.is_dir():
        inside, pattern = path.parent, path.name
    else:
        return path, glob.escape(path.name)
    found = [file for file in inside.glob(pattern) if file.is_file() and not file.name.startswith(".")]
    if not found:
        raise SourceError(f"{path}: there is no such file: name one, or a folder or pattern that has some")
    newest = max(found, key=lambda file: (file.stat().st_mtime, file.name))
    ending = "".join(newest.suffixes[-2:]) if newest.suffix == ".gz" else newest.suffix
    return newest, f"*{ending}" if path.is_dir() else pattern


def _try(proposal: Proposal, settings: Settings, now: datetime) -> Iterator[str]:
    """What the source reads of the beginning of the file, in words; what fails in a column is added to its doubts."""
    try:
        batch = next(iter(settings.sources[0].fetch(None, now, settings.glossary, ())))
    except SourceError as error:
        yield f"It cannot be read like this: {error}"
        return
    yield _describe(batch)
    problems = pl.concat([batch.problems, batch.bad_values]).unique(["column", "reason"], maintain_order=True)
    for column, value, reason in problems.head(_SHOWN).select("column", "value", "reason").rows():
        yield f"It cannot read {value or ''!r} in column {column!r}: {reason}."
    table = "wide" if "wide" in proposal.settings else "columns"
    for name, doubt in _odd_values(batch, settings.glossary):
        key = f"{table}.{name}"
        proposal.doubts[key] = "; ".join(filter(None, [proposal.doubts.get(key), doubt]))
    yield from find_doubts([batch], settings.glossary)


def _describe(batch: SourceBatch) -> str:
    rows = batch.readings.drop_nulls(["station_id", "observed_at"])
    refused = batch.problems["row_number"].n_unique()
    if rows.is_empty():
        return f"It reads no row, and refuses {refused:,}."
    stations = rows["station_id"].unique(maintain_order=True)
    named = f"station {stations[0]}"
    if len(stations) > 1:
        named = f"{len(stations):,} stations ({', '.join(stations.head(_SHOWN))} …)"
    times = rows["observed_at"].sort().dt.strftime("%Y-%m-%d %H:%M")
    count = "1 row" if len(rows) == 1 else f"{len(rows):,} rows"
    return f"It reads {count} of {named} from {times[0]} to {times[-1]} UTC, and refuses {refused:,}."


def _odd_values(batch: SourceBatch, variables: Mapping[str, Variable]) -> Iterator[tuple[str, str]]:
    """Variables with values beyond their limits, and what these are."""
    for name, variable in variables.items():
        values = batch.readings[name].drop_nulls()
        outside = values.filter(~values.is_between(variable.valid_min, variable.valid_max))
        if len(outside):
            yield name, f"{len(outside):,} of {len(values):,} values are {variable.outside}, such as {outside[0]:g}"
