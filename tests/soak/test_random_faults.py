"""Commands in random order while everything goes wrong: no traceback reaches a user, and no reading is unaccounted for.

`DAYCAST_FAULT_COMMANDS=2000 DAYCAST_FAULT_SEED=7 pytest -m soak -s tests/soak/test_random_faults.py` runs 2,000 commands (default
200) as seed 7 has them (default 1), and prints a table of commands, faults and exit statuses. What must not be is named with the
number of its command: the same seed and number have the same command, the same files and the same faults, only that a signal
may find it at another place.
"""

import os

import pytest

from integration.chain.conftest import daycast, environment  # noqa: F401 - fixtures
from soak.accounts import close_accounts
from soak.fault_run import live_through

pytestmark = pytest.mark.soak
COMMANDS = int(os.environ.get("DAYCAST_FAULT_COMMANDS", "200"))
SEED = int(os.environ.get("DAYCAST_FAULT_SEED", "1"))


def test_no_traceback_reaches_a_user_and_no_reading_is_unaccounted_for(daycast, tmp_path, monkeypatch):  # noqa: F811
    for name in ("DAYCAST_FAULT_COMMANDS", "DAYCAST_FAULT_SEED"):  # of the test, no settings
        monkeypatch.delenv(name, raising=False)
    folder, aside = tmp_path / "folder", tmp_path / "clean"
    folder.mkdir()
    aside.mkdir()
    run = live_through(daycast, folder, COMMANDS, SEED)
    close_accounts(run, COMMANDS + 1, aside)
    print(f"\n{run.table()}")
    assert not run.violations, "\n".join(map(str, run.violations))
