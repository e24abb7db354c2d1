"""The Prefect flows, one a file. They are thin: each task is one call of the library.

Start with `pipeline`, which runs the others in turn. `stages`, `warehouse_task`, `map_blocks`, `runs` and `artifacts` are shared
by the flows.

Times are ISO 8601. With `until` a flow uses nothing that was received, registered or issued after that time; whatever it writes
still bears the present time (see daycast.settings.load).
"""

import logging
import os

from daycast.errors import DaycastError
from daycast.redact import Redacting


class OneLine(logging.Filter):
    """Has the log of a run say an expected error in one line: Prefect adds its traceback to the task, the flow and the process.

    A run that is cancelled because another one is at work is no error at all.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Take the traceback of an expected error away, and leave out what the process says of it once the run has ended."""
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, DaycastError) and type(error).__name__ != "CancelledRun":
            return True
        record.exc_info = None
        return not str(record.msg).startswith("Engine execution exited")


if "PREFECT__FLOW_RUN_ID" in os.environ:  # in the run of a worker, whose page shows these lines
    logging.getLogger("daycast").setLevel(logging.INFO)
for _name in ("prefect.flow_runs", "prefect.task_runs"):  # they log the tracebacks of failed runs
    for _filter in (OneLine(), Redacting()):
        logging.getLogger(_name).addFilter(_filter)
