"""What orchestration costs: `daycast run` with its own Prefect server, against the same steps called in a bare process.

Prints two JSON lines: seconds of an hourly run each way, in turns, the least of three, and their difference, wanted to be at
most 10 s; and the seconds of `daycast --help`, wanted to be under 0.7 s. Only a machine with nothing else to do can tell.

    python tests/benchmarks/bench_overhead.py
"""

import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from measurement import say

OVERHEAD_S, HELP_S, REPEATS = 10.0, 0.7, 3
UNTIL = datetime(2026, 6, 1, 0, 5, tzinfo=UTC)
CONFIG = """
[[sources]]
kind = "simulated"
stations = 4
history = "60d"

[retrain]
every = "365d"

[model]
members = 1
epochs = 1
steps_per_epoch = 5
validation_days = 10
judgement_days = 10
"""
DIRECT = """
import sys
from datetime import datetime
from daycast.settings import load_settings
from daycast.steps.forecast import issue_forecasts
from daycast.steps.ingest import ingest_source
from daycast.steps.note_drifts import note_drifts
from daycast.steps.publish import publish_tables
from daycast.steps.recalibrate import recalibrate
from daycast.steps.report import summarise, write_report
from daycast.steps.retrain import retrain_is_due
from daycast.steps.verify import verify_forecasts
from daycast.steps.warnings import find_warnings

settings, now = load_settings(), datetime.fromisoformat(sys.argv[1])
intakes = [ingest_source(settings, source, now) for source in settings.sources]
find_warnings(settings, now)
assert not retrain_is_due(settings, now)
issue_forecasts(settings, now)
verify_forecasts(settings, now)
note_drifts(settings, now)
recalibrate(settings, now)
publish_tables(settings, now)
write_report(settings, now)
summarise(settings, now, intakes, None)
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "daycast.toml").write_text(CONFIG)
        prefect = lambda now: ["-m", "daycast", "run", "--until", now.isoformat()]  # noqa: E731
        seconds(folder, *prefect(UNTIL))  # trains
        hours = [UNTIL + timedelta(hours=k + 1) for k in range(2 * REPEATS)]
        direct, through = [], []
        for first, second in zip(hours[::2], hours[1::2], strict=True):
            direct.append(seconds(folder, "-c", DIRECT, first.isoformat()))
            through.append(seconds(folder, *prefect(second)))
        overhead = min(through) - min(direct)
        say("overhead", prefect_s=min(through), direct_s=min(direct), overhead_s=overhead, limit=OVERHEAD_S)
        say("help", seconds=min(seconds(folder, "-m", "daycast", "--help") for _ in range(REPEATS)), limit=HELP_S)


def seconds(folder: Path, *arguments: str) -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
