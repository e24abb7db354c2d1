"""daycast: tomorrow's weather at your own sensors, every hour, as SQL tables.

Start reading at `daycast.__main__` (the command line) or at the flow `pipeline` in flows/, which calls one step after the
other. Importing this package masks secrets in every line that daycast logs.
"""

import logging
from pathlib import Path

from daycast.redact import Redacting

__version__ = "0.1.0"

logging.getLogger("daycast").addFilter(Redacting())  # here, so that it applies in every process


def resource_folder(name: str) -> Path:
    """The folder `sql` or `infra`: inside an installed package, or at the top of a checkout."""
    package = Path(__file__).parent
    installed = package / name
    return installed if installed.is_dir() else package.parents[1] / name
