"""What holds for all tests."""

import logging
import os

import pytest
from hypothesis import HealthCheck, settings

# before anybody imports torch or polars: there are more test processes than cores, and threads would wait for each other;
# the tests hold for any number
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("POLARS_MAX_THREADS", "1")

# a slow machine fails no test, and neither does chance: each run tries the same examples
settings.register_profile("any machine", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_make_parametrize_id(val):
    """Bytes are named by their number: a gzip file holds the second it was made in, and each worker names the tests anew."""
    return f"{len(val)}-bytes" if isinstance(val, bytes) else None


@pytest.fixture(autouse=True)
def log_as_it_comes() -> None:
    """Each test begins with daycast's log as Python makes it, whatever a command before it has set up in this process."""
    log = logging.getLogger("daycast")
    log.handlers, log.propagate = [], True
    log.setLevel(logging.NOTSET)
