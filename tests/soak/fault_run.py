"""Commands in random order under random faults: what is run, and what must hold after each."""

import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import duckdb

from daycast.sources.files.inbox import Stamp, stamp_of
from daycast.times import DAY, HOUR
from integration.chain.conftest import Daycast
from soak.faulty_process import Finished, Running, TrainContext
from soak.ill_fortune import FAULTS, Fate, choose_faults
from soak.logbook import Logbook
from soak.spoilt_files import befall_files

MOST_VIOLATIONS = 50
TRACE = re.compile(r'Traceback \(most recent call last\)|^\s*File ".*", line \d+', re.MULTILINE)
LOG_LINE = re.compile(r"\d\d:\d\d:\d\d |daycast: ")
SIGNALS = {"SIGKILL": 137, "SIGTERM": 143, "SIGINT": 130}
WHOLE_INGESTS = ("ingest", "run")
# what must end well where nothing is wrong
QUIETLY_DONE = {"ingest", "verify", "publish", "maintain", "report", "models list"}


def _moment(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


QUERIES = [
    "from next_hours",
    "from latest_forecasts limit 40",
    "from skill_by_lead",
    "select station_id, count(*) as n, max(observed_at) as newest from observations group by all",
    "from batches order by ingested_at desc limit 20",
    "from rejected_readings limit 20",
    "from runs limit 30",
    "select count(*) as n from forecasts",
]
WRONG_QUERIES = ["selec 1", "from nowhere", "drop table forecasts", "select 1; select 2", "", "select 1 / 'a'"]
HOUR_OF_LATE, MODEL = "<an hour of late>", "<a model>"  # chosen anew each time
COMMANDS: dict[str, tuple[int, Sequence[Sequence[str]]]] = {  # how often, and the forms of which one is taken
    "ingest": (20, [["ingest"]]),
    "ingest --source": (4, [["ingest", "--source", name] for name in ("loggers", "inbox", "plant", "logers")]),
    "ingest --since": (2, [["ingest", "--since", HOUR_OF_LATE]]),
    "run": (3, [["run"]]),
    "retrain": (2, [["retrain", *words] for words in (["--epochs", "1"], ["--minutes", "0.02"], ["--cell", "lstm"])]),
    "retrain --dry-run": (1, [["retrain", "--dry-run"]]),
    "forecast": (10, [["forecast"]]),
    "forecast --issued-at": (3, [["forecast", "--issued-at", HOUR_OF_LATE]]),
    "forecast --dry-run": (2, [["forecast", "--dry-run"]]),
    "forecast --station": (2, [["forecast", "--station", name] for name in ("Bern", "Zürich", "Bärn")]),
    "verify": (8, [["verify"]]),
    "publish": (8, [["publish"]]),
    "report": (3, [["report"]]),
    "maintain": (4, [["maintain"]]),
    "maintain --dry-run": (1, [["maintain", "--dry-run"]]),
    "doctor": (5, [["doctor"]]),
    "backtest": (2, [["backtest", "--since", HOUR_OF_LATE, "--until", HOUR_OF_LATE, "--format", "json"]]),
    "backfill": (2, [["backfill", "--since", HOUR_OF_LATE]]),
    "backfill --dry-run": (1, [["backfill", "--since", HOUR_OF_LATE, "--dry-run"]]),
    "models list": (3, [["models", "list"], ["models", "list", "--format", "json"]]),
    "models show": (2, [["models", "show", MODEL], ["models", "show", MODEL, "--format", "json"], ["models", "show"]]),
    "models promote": (1, [["models", "promote", MODEL]]),
    "models rollback": (2, [["models", "rollback"], ["models", "rollback", "--dry-run"]]),
    "sql": (8, [["sql", query, "--format", form] for query in QUERIES for form in ("table", "csv", "json")]),
    "sql (wrong)": (2, [["sql", query] for query in WRONG_QUERIES]),
    "init": (2, [["init"]]),
}
TIMED = ("ingest", "run", "retrain", "forecast", "verify", "report", "maintain", "doctor")


@dataclass(frozen=True)
class Violation:
    """What must not be, and the number of the command after which it was."""

    number: int
    command: str
    faults: Sequence[str]
    what: str

    def __str__(self) -> str:
        under = f" under {', '.join(self.faults)}" if self.faults else ""
        return f"{self.number}: {self.command}{under}: {self.what}"


@dataclass
class FaultRun:
    """A folder in which commands are run and things go wrong."""

    daycast: Daycast
    book: Logbook
    seed: int
    violations: list[Violation] = field(default_factory=list)
    statuses: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    faults: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    took_s: Counter[str] = field(default_factory=Counter)
    damaged: Stamp | None = None  # of the published file, when it was damaged last

    def _model(self, rng: random.Random) -> str:
        """The id of a model, or of none."""
        chosen = rng.randrange(12)
        try:
            with duckdb.connect(self.book.folder / "data" / "warehouse.duckdb", read_only=True) as con:
                ids = [name for (name,) in con.execute("select model_id from models order by all").fetchall()]
        except duckdb.Error:
            ids = []
        return ids[chosen % len(ids)] if ids and chosen else "gru-nobody"

    def begin(self) -> None:
        """The first command is an undisturbed `daycast run`, so that there is something that can go wrong."""
        finished = Running(self.daycast, self.book.folder, ["run"], TrainContext(self.book.now)).wait()
        self._account(0, "run", [], finished)
        self._check(0, "run", [], finished)
        self._note("run", finished, self.book.standing(), self.book.now)

    def step(self, number: int) -> None:
        """Let time pass and things happen, run a command or two at once, and look at what came of it."""
        rng = random.Random(f"{self.seed}: {number}")
        self._mend()
        self.book.advance(rng)
        happened = befall_files(self.book, rng)
        names = choose_faults(rng)
        fate = Fate(self.book, rng, TrainContext(self.book.now), [])
        commands = [self._choose(rng) for _ in range(2 if rng.random() < 0.06 else 1)]
        for name in names:
            FAULTS[name](fate)
        if "published damaged" in names:
            self.damaged = stamp_of(self._published)
        standing = self.book.standing()
        running = [Running(self.daycast, self.book.folder, words, fate.around) for _, words, _ in commands]
        ended = [one.wait() for one in running]
        for undo in reversed(fate.undo):
            undo()
        if len(commands) > 1:
            names = [*names, "two at once"]
        for (name, _, until), finished in zip(commands, ended, strict=True):
            self._account(number, name, [*names, *happened], finished)
            self._check(number, name, names, finished)
            if not set(names) - {"two at once"} and name in WHOLE_INGESTS:
                self._note(name, finished, standing, until)
        self.book.note_moved(fate.around.clock)
        self._check_published(number, " ".join(commands[-1][1]), names)

    @property
    def log(self) -> Path:
        """A line for each command."""
        return self.book.folder.with_suffix(".log")

    @property
    def _published(self) -> Path:
        return self.book.folder / "data" / "published.duckdb"

    def _choose(self, rng: random.Random) -> tuple[str, list[str], datetime]:
        """The name of a command, its words, and as of when it is run."""
        names = list(COMMANDS)
        name = rng.choices(names, [weight for weight, _ in COMMANDS.values()])[0]
        words, until = [self._fill(word, rng) for word in rng.choice(COMMANDS[name][1])], self.book.now
        if words[0] in TIMED and rng.random() < 0.3:
            jump = rng.choices([0 * HOUR, -3 * HOUR, -2 * DAY, HOUR], [6, 2, 1, 1])[0]
            until += jump
            words += ["--until", _moment(until)]
        return name, words, until

    def _fill(self, word: str, rng: random.Random) -> str:
        if word == HOUR_OF_LATE:
            return _moment(self.book.now.replace(minute=0, second=0) - rng.randrange(9 * 24) * HOUR)
        return self._model(rng) if word == MODEL else word

    def _mend(self) -> None:
        due = [repair for left, repair in self.book.repairs if left <= 1]
        self.book.repairs = [(left - 1, repair) for left, repair in self.book.repairs if left > 1]
        for repair in due:
            repair()

    def _note(self, name: str, finished: Finished, standing: Sequence, until: datetime) -> None:
        """After an ingest that nothing disturbed, bad files apart, all the rest must be there."""
        told = (finished.stderr.splitlines() or [""])[-1]
        if finished.status == 0 or (name == "ingest" and not self.book.is_whole() and "readings/" in told):
            self.book.note_taken_in(standing, until.replace(microsecond=0), ("loggers", "inbox", "plant"))

    def _account(self, number: int, name: str, faults: Sequence[str], finished: Finished) -> None:
        self.statuses[name][str(finished.status)] += 1
        self.took_s[name] += finished.took_s
        for fault in faults:
            self.faults[fault][str(finished.status)] += 1
        last = (finished.stderr.splitlines() or [""])[-1]
        with self.log.open("a") as log:
            log.write(f"{number}\t{' '.join(finished.arguments)}\t{', '.join(faults)}\t{finished.status}\t{last}\n")

    def _check(self, number: int, name: str, faults: Sequence[str], finished: Finished) -> None:
        for what in [*self._about_output(faults, finished), *self._about_status(name, faults, finished)]:
            self.violate(number, " ".join(finished.arguments), faults, what)

    def violate(self, number: int, command: str, faults: Sequence[str], what: str) -> None:
        """Note what must not be."""
        self.violations.append(Violation(number, command, faults, what))
        print(f"\n{self.violations[-1]}", flush=True)

    def _about_output(self, faults: Sequence[str], finished: Finished) -> list[str]:
        found = []
        for stream in ("stdout", "stderr"):
            text = getattr(finished, stream)
            if match := TRACE.search(text):
                last = [line for line in text[match.start() :].splitlines() if line and not line.startswith(" ")]
                found.append(f"a traceback on {stream}: {last[-1][:300] if last else ''}")
        lines = [line for line in finished.stderr.splitlines() if line.strip()]
        silent = "stdout closed" in faults  # as any program before `head`
        told = found or silent or (lines and lines[-1].startswith("daycast: "))
        if finished.status == 1 and not told:
            found.append(f"status 1 without a line of daycast's: {lines[-1:]}")
        stray = [line for line in lines if not LOG_LINE.match(line)]
        if stray and not found:
            found.append(f"a stray line on stderr: {stray[0][:300]!r}")
        if finished.status == 0 and "json" in finished.arguments and "stdout full" not in faults:
            found += _about_json(finished.stdout)
        return found

    def _about_status(self, name: str, faults: Sequence[str], finished: Finished) -> list[str]:
        allowed = {0, 1, *(SIGNALS[fault] for fault in faults if fault in SIGNALS)}
        found = [] if finished.status in allowed else [f"exit status {finished.status}: {finished.stderr[-300:]!r}"]
        if finished.hung:
            found.append("it went on without end")
        if finished.was_slow_to_end:
            found.append(f"it went on for {finished.ended_after_s:.0f} s after the signal")
        until = finished.arguments[finished.arguments.index("--until") + 1] if "--until" in finished.arguments else ""
        undisturbed = not set(faults) - {"two at once"} and until <= _moment(self.book.now)
        well = self.book.is_whole() and not self.book.repairs
        if finished.status == 1 and undisturbed and well and name in QUIETLY_DONE:
            found.append(f"it failed though nothing was wrong: {finished.stderr.splitlines()[-1:]}")
        return found

    def _check_published(self, number: int, command: str, faults: Sequence[str]) -> None:
        """Whoever reads the published file at any moment finds it whole."""
        stamp = stamp_of(self._published)
        if stamp in (None, self.damaged) or self.book.repairs:
            return
        try:
            with duckdb.connect(self._published, read_only=True) as con:
                con.execute("select count(*) from forecasts join scores using (model_id)").fetchall()
        except duckdb.Error as error:
            self.violate(number, command, faults, f"the published file cannot be read: {str(error)[:200]}")

    def table(self) -> str:
        """Commands by name and faults by kind, with their exit statuses, and what must not be."""
        lines = [f"{'command':<34}{'runs':>6}  exit statuses"]
        for name, counts in sorted(self.statuses.items()):
            lines.append(f"{_tell(name, counts):<70}{self.took_s[name] / counts.total():.1f} s each")
        lines += ["", f"{'fault':<34}{'runs':>6}  exit statuses"]
        lines += [_tell(name, counts) for name, counts in sorted(self.faults.items())]
        lines += [
            "",
            f"{len(self.violations)} violations (seed {self.seed}, every command in {self.log})",
            *map(str, self.violations),
        ]
        return "\n".join(lines)


def _tell(name: str, counts: Counter[str]) -> str:
    statuses = ", ".join(f"{status}: {count}" for status, count in sorted(counts.items()))
    return f"{name:<34}{counts.total():>6}  {statuses}"


def _about_json(text: str) -> list[str]:
    def refuse(name: str) -> None:
        raise ValueError(f"{name} is no JSON")

    try:
        json.loads(text, parse_constant=refuse)
    except ValueError as error:
        return [f"not JSON: {error}"]
    return []


def live_through(daycast: Daycast, folder: Path, commands: int, seed: int) -> FaultRun:
    """Run so many commands, and print how it goes."""
    book = Logbook(folder)
    book.begin()
    run = FaultRun(daycast, book, seed)
    run.begin()
    for number in range(1, commands + 1):
        run.step(number)
        if number % 50 == 0:
            print(f"\n{number} commands, {len(run.violations)} violations, it is {book.now:%Y-%m-%d %H:%M}", flush=True)
        if len(run.violations) >= MOST_VIOLATIONS:
            break
    return run
