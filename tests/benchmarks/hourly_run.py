"""An hourly run of a small simulated network, through Prefect as `daycast run` does it, or its steps called in a bare process."""

import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

FIRST = datetime(2026, 6, 1, 0, 5, tzinfo=UTC)
CONFIG = """
[[sources]]
kind = "simulated"
stations = 4
history = "60d"

[retrain]
every = "365d"

[model]
ensemble_size = 1
epochs = 1
steps_per_epoch = 5
validation_days = 10
holdout_days = 10
"""
THROUGH_PREFECT = """
import sys
from daycast.__main__ import main
from daycast.settings import load as present
from daycast.times import parse_time

present.wall_clock = lambda: parse_time(sys.argv[1])
sys.exit(main(["run"]))
"""
DIRECT = """
import sys
from datetime import datetime
from daycast.settings import load_settings
from daycast.steps.forecast import issue_forecasts
from daycast.steps.ingest import ingest_source
from daycast.steps.verify import note_drifts
from daycast.steps.publish import publish_tables
from daycast.steps.calibrate import calibrate
from daycast.steps.publish import summarise, write_report
from daycast.steps.train import minutes_due
from daycast.steps.verify import verify_forecasts
from daycast.steps.station_warnings import find_warnings

settings, now = load_settings(), datetime.fromisoformat(sys.argv[1])
intakes = [ingest_source(settings, source, now) for source in settings.sources]
find_warnings(settings, now)
assert minutes_due(settings, now) is None
issue_forecasts(settings, now)
verify_forecasts(settings, now)
note_drifts(settings, now)
calibrate(settings, now)
publish_tables(settings, now)
write_report(settings, now)
summarise(settings, now, intakes, None)
"""


def prepare(folder: Path) -> None:
    """Make the folder one in which the run of FIRST has trained a champion."""
    (folder / "daycast.toml").write_text(CONFIG)
    through_prefect(folder, 0)


def through_prefect(folder: Path, hour: int) -> float:
    """Seconds of `daycast run` by a clock that stands so many hours after FIRST."""
    return seconds(folder, "-c", THROUGH_PREFECT, _at(hour))


def in_one_process(folder: Path, hour: int) -> float:
    """Seconds of the same steps without Prefect."""
    return seconds(folder, "-c", DIRECT, _at(hour))


def seconds(folder: Path, *arguments: str) -> float:
    """How long Python takes for these arguments."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - begin


def _at(hour: int) -> str:
    return (FIRST + timedelta(hours=hour)).isoformat()
