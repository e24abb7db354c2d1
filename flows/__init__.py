"""The Prefect flows: thin, each task one call of the library.

Times are ISO 8601; `until` makes a flow run as if the clock stood there.
"""

import logging

from daycast.redact import Redacting

for _name in ("prefect.flow_runs", "prefect.task_runs"):  # which log the traceback of a run that failed
    logging.getLogger(_name).addFilter(Redacting())
