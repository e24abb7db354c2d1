"""daycast: tomorrow's weather at your own sensors, every hour, as SQL tables."""

import logging
from pathlib import Path

from daycast.redact import Redacting

__version__ = "0.1.0"

logging.getLogger("daycast").addFilter(Redacting())  # here, so that no process logs without it


def resource_folder(name: str) -> Path:
    """The folder `sql` or `infra`: part of an installed package, at the top of a checkout."""
    package = Path(__file__).parent
    installed = package / name
    return installed if installed.is_dir() else package.parents[1] / name
