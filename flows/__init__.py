"""The Prefect flows: thin, each task one call of the library.

Times are ISO 8601. With `until` a flow uses nothing that was received, registered or issued after that moment; what it writes
bears the time of now all the same (see daycast.settings.load).
"""

import logging

from daycast.redact import Redacting

for _name in ("prefect.flow_runs", "prefect.task_runs"):  # which log the traceback of a run that failed
    logging.getLogger(_name).addFilter(Redacting())
