"""What ten readers cost a run: it ingests, forecasts and publishes while each opens the published file again and again.

Prints two JSON lines, of readers that ask once a second, and of readers that ask without a pause, which take their share of
the cores; `ratio` is the run beside them over the run alone, in turns, the medians of three, and wanted to be at most `limit`.

    python tests/benchmarks/bench_readers.py
"""

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from hourly_run import in_one_process, prepare
from measurement import say

READERS, REPEATS = 10, 3
READ = """
import sys, time
import duckdb

asked = 0
while True:
    with duckdb.connect("data/published.duckdb", read_only=True) as con:
        con.execute("select * from latest_forecasts where station_id = 'S0001'").fetchall()
        con.execute("select * from skill_by_lead").fetchall()
        sizes = con.execute("select count(*) from forecasts group by issued_at").fetchall()
    assert len(set(sizes)) == 1, sizes
    asked += 1
    print(asked, flush=True)
    time.sleep(float(sys.argv[1]))
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, hours = Path(name), count(1)
        prepare(folder)
        for pause, limit in ((1.0, 1.2), (0.0, None)):
            alone, beside, reads = [], [], 0
            for _ in range(REPEATS):
                alone.append(in_one_process(folder, next(hours)))
                with readers(folder, pause) as answers:
                    beside.append(in_one_process(folder, next(hours)))
                reads += sum(answers)
            ratio = statistics.median(beside) / statistics.median(alone)
            say("readers", readers=READERS, backoff_s=pause, reads=reads, alone_s=statistics.median(alone),
                beside_s=statistics.median(beside), ratio=ratio, limit=limit)  # fmt: skip


@contextmanager
def readers(folder: Path, pause: float) -> Iterator[list[int]]:
    """Ten processes that read while the block runs; afterwards the list holds how often each did. None may have failed."""
    command = [sys.executable, "-c", READ, str(pause)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    started = [subprocess.Popen(command, cwd=folder, **pipes) for _ in range(READERS)]
    for reader in started:
        reader.stdout.readline()  # it has begun
    answers: list[int] = []
    yield answers
    for reader in started:
        assert reader.poll() is None, reader.stderr.read()
        reader.terminate()
        answers.append(1 + len(reader.communicate()[0].splitlines()))


if __name__ == "__main__":
    main()
