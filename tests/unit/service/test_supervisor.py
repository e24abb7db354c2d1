"""Stopping the supervisor of a data folder."""

import os
import subprocess
import sys

import pytest

from daycast.service.supervisor import read_state, stop

SLOW_TO_EXIT = """
import signal, sys, time
from pathlib import Path
from daycast.service.supervisor import supervisor_lock, write_state

signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
with supervisor_lock(Path(sys.argv[1])) as state:
    write_state(state, "http://127.0.0.1:4200/api", ready=True)
    print("up", flush=True)
    signal.sigwait({signal.SIGTERM})
time.sleep(1)
"""


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="this system has no descriptors of processes")
def test_the_process_is_gone_as_well_as_its_lock(tmp_path):
    command = [sys.executable, "-c", SLOW_TO_EXIT, tmp_path]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as supervisor:
        assert supervisor.stdout.readline() == b"up\n"
        assert stop(tmp_path)
        assert supervisor.poll() == 0
    assert read_state(tmp_path) is None


def test_where_none_runs_nothing_is_stopped(tmp_path):
    assert not stop(tmp_path)
