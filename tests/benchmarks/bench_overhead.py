"""What orchestration costs: `daycast run` with its own Prefect server, against the same steps called in a bare process.

Prints two JSON lines: seconds of an hourly run each way, in turns, the least of three, and their difference, wanted to be at
most 10 s; and the seconds of `daycast --help`, wanted to be under 0.7 s. Only a machine with nothing else to do can tell.

    python tests/benchmarks/bench_overhead.py
"""

import tempfile
from pathlib import Path

from hourly_run import in_one_process, prepare, seconds, through_prefect
from measurement import say

OVERHEAD_S, HELP_S, REPEATS = 10.0, 0.7, 3


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        pairs = [(in_one_process(folder, hour), through_prefect(folder, hour + 1)) for hour in range(1, 2 * REPEATS, 2)]
        direct, through = (min(one) for one in zip(*pairs, strict=True))
        say("overhead", prefect_s=through, direct_s=direct, overhead_s=through - direct, limit=OVERHEAD_S)
        say("help", seconds=min(seconds(folder, "-m", "daycast", "--help") for _ in range(REPEATS)), limit=HELP_S)


if __name__ == "__main__":
    main()
