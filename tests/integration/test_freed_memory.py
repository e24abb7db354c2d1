"""What is freed goes back to the system, though something small lies behind each large block."""

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
torch.ones(7_500_000)  # 30 MB: what was as large and freed, glibc takes from its heap from now on
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
    """Megabytes that are still held, before and after what is freed is given back."""
    answer = subprocess.run([sys.executable, "-c", SCRIPT, *steps], check=True, capture_output=True, text=True)
    freed, given_back = answer.stdout.split()
    return float(freed), float(given_back)


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc is told what to do with freed memory")
def test_large_blocks_go_back_when_they_are_freed_and_everything_when_it_is_asked_for() -> None:
    freed, given_back = held_after()
    assert freed > 100
    assert given_back < 30
    assert held_after("map")[0] < 30
