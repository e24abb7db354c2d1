"""How fast the simulated network delivers: 1,000 stations x 10,000 hours with trouble, against their noise alone.

Prints one JSON line. `ratio` is the time over that of drawing one normal float32 for each station-hour and each of
five variables, measured in the same run; it says how much the weather, the trouble and the frames cost beyond the
noise they need.
"""

import json
import resource
import time
from datetime import UTC, datetime, timedelta

import numpy as np

from daycast.sources.simulated.source import SimulatedSource
from daycast.variables import BUILT_IN

STATIONS, HOURS, DRAWN_VARIABLES = 1_000, 10_000, 5
UNTIL = datetime(2026, 1, 1, tzinfo=UTC)


def fetch_seconds() -> tuple[float, int, int]:
    """Seconds, rows in all and rows of the largest piece."""
    source = SimulatedSource(stations=STATIONS, history=timedelta(hours=HOURS))
    start = time.perf_counter()
    rows = [delivery.readings.height for delivery in source.fetch(None, UNTIL, BUILT_IN, ())]
    return time.perf_counter() - start, sum(rows), max(rows)


def draw_seconds() -> float:
    rng = np.random.Generator(np.random.SFC64(0))
    start = time.perf_counter()
    for _ in range(DRAWN_VARIABLES * HOURS // 500):
        rng.standard_normal((STATIONS, 500), dtype=np.float32)
    return time.perf_counter() - start


def main() -> None:
    limit = draw_seconds()
    seconds, rows, largest = fetch_seconds()
    result = {
        "benchmark": "simulated",
        "station_hours": STATIONS * HOURS,
        "rows": rows,
        "largest_piece_rows": largest,
        "seconds": round(seconds, 3),
        "station_hours_per_second": round(STATIONS * HOURS / seconds),
        "limit": f"numpy standard_normal float32, {DRAWN_VARIABLES} variables",
        "limit_seconds": round(limit, 3),
        "ratio": round(seconds / limit, 2),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
