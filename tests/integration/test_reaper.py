"""What a supervisor starts does not outlive it, in whichever session it hides and however the supervisor goes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux hands orphans to the reaper")
PATIENCE_S = 300.0  # on a busy machine
SUPERVISOR = """
import os, sys, time
from pathlib import Path
from daycast.service.supervisor import start_reaped
folder = Path(sys.argv[1])
start_reaped(["setsid", "sh", "-c", "sleep 3600 & echo $! > pid; wait"], os.environ, folder / "log")
time.sleep(3600)
"""


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def wait_until(condition) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and not condition():
        time.sleep(0.05)
    return condition()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_grandchild_in_another_session_ends_with_the_supervisor(tmp_path, number):
    supervisor = subprocess.Popen([sys.executable, "-c", SUPERVISOR, str(tmp_path)])
    pid = tmp_path / "pid"
    assert wait_until(lambda: pid.exists() and pid.read_text().strip())
    grandchild = int(pid.read_text())
    assert is_alive(grandchild)
    os.kill(supervisor.pid, number)
    supervisor.wait()
    assert wait_until(lambda: not is_alive(grandchild))
