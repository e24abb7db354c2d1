"""A task of a worker's run is repeated by a real Prefect where its error may pass, and at once given up elsewhere."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

# a step that fails once, and then works; the waits are shortened
SCRIPT = """
import json, sys
from prefect import flow
from daycast.errors import SourceError
from daycast.flows import warehouse_task

warehouse_task._RETRY_AFTER_S[:] = [0.01, 0.01]
attempts = []

def read_source(may_pass):
    attempts.append(may_pass)
    if len(attempts) == 1:
        raise SourceError("the source does not answer").passing(may_pass=may_pass)
    return "read"

read = warehouse_task.warehouse_task(read_source)

@flow
def ingest():
    return read(sys.argv[1] == "may pass")

state = ingest(return_state=True)
print(json.dumps([len(attempts), state.type.value]))
"""


@pytest.mark.parametrize(
    ("error", "of_a_worker", "ended"),
    [
        ("may pass", True, [2, "COMPLETED"]),
        ("may pass", False, [1, "FAILED"]),
        ("stays", True, [1, "FAILED"]),
    ],
)
def test_a_step_is_tried_again(environment, tmp_path, error, of_a_worker, ended):
    named = {"PREFECT__FLOW_RUN_ID": "0190f7f0-0000-7000-8000-000000000000"} if of_a_worker else {}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, error],
        cwd=tmp_path,
        env={**environment, **named, "PREFECT_LOGGING_LEVEL": "CRITICAL"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == ended
