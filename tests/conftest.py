"""What holds for all tests."""

import os

# before anybody imports torch: there are as many test processes as cores, and one thread gives the same bits everywhere
os.environ["OMP_NUM_THREADS"] = "1"


def pytest_make_parametrize_id(val):
    """Bytes are named by their number: a gzip file holds the second it was made in, and each worker names the tests anew."""
    return f"{len(val)}-bytes" if isinstance(val, bytes) else None
