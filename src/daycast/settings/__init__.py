"""The settings: daycast.toml, with DAYCAST_* environment variables in place of its keys, over defaults.

The defaults run the simulated network. Read `sections` (the tables of the file), `settings` (all of them together, and the
paths that follow from them), then `load` (reading file and environment, and the clock). Only this package and the commands read
the environment and the clock; everything below gets them as arguments.
"""

from daycast.settings.load import DEFAULT_FILE, as_of, clock, find_config, load_settings
from daycast.settings.sections import (
    DriftSettings,
    Epochs,
    LiveSettings,
    Minutes,
    Moment,
    RetrainSettings,
    SourceSettings,
)
from daycast.settings.settings import Settings

__all__ = [
    "DEFAULT_FILE",
    "DriftSettings",
    "Epochs",
    "LiveSettings",
    "Minutes",
    "Moment",
    "RetrainSettings",
    "Settings",
    "SourceSettings",
    "as_of",
    "clock",
    "find_config",
    "load_settings",
]
