"""What is freed goes back to the system, though something small lies behind each large block."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

SCRIPT = """
import sys
import torch
from daycast.model.device import trim_memory, map_large_blocks

def held_mb():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024

for do in sys.argv[1:]:
    {"map": map_large_blocks}[do]()
before, large, small = held_mb(), [], []
for _ in range(10):
    large.append(torch.ones(5_000_000))  # 20 MB
    small.append(torch.ones(250_000))  # 1 MB: too large for a hole that the imports left, so it lies behind the large one
del large
freed = held_mb() - before
trim_memory()
print(freed, held_mb() - before)
"""


def held_after(*steps: str) -> tuple[float, float]:
    """Megabytes that are still held, before and after what is freed is given back.

    glibc is told to take all blocks from its heap, as it does by itself in a process that has freed larger ones.
    """
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20)}
    command = [sys.executable, "-c", SCRIPT, *steps]
    answer = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    freed, given_back = answer.stdout.split()
    return float(freed), float(given_back)


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc is told what to do with freed memory")
def test_large_blocks_go_back_when_they_are_freed_and_everything_when_it_is_asked_for() -> None:
    freed, given_back = held_after()
    assert freed > 100
    assert given_back < 30
    assert held_after("map")[0] < 30
