"""The Prefect flows, one a file. They are thin: each task is one call of the library.

Start with `pipeline`, which runs the others in turn. `stages`, `warehouse_task`, `map_blocks`, `runs` and `artifacts` are shared
by the flows.

Times are ISO 8601. With `until` a flow uses nothing that was received, registered or issued after that time; whatever it writes
still bears the present time (see daycast.settings.load).
"""

import logging
import os

from daycast.redact import Redacting

if "PREFECT__FLOW_RUN_ID" in os.environ:  # in the run of a worker, whose page shows these lines
    logging.getLogger("daycast").setLevel(logging.INFO)
for _name in ("prefect.flow_runs", "prefect.task_runs"):  # they log the tracebacks of failed runs
    logging.getLogger(_name).addFilter(Redacting())
