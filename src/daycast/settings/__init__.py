"""The settings: daycast.toml, overridden by DAYCAST_* variables, over defaults that run the simulated network.

Only this module and the commands read the environment, and nothing below them reads it or the clock.
"""

from daycast.settings.load import DEFAULT_FILE, as_of, clock, find_config, load_settings
from daycast.settings.sections import DriftSettings, Epochs, Minutes, Moment, RetrainSettings, SourceSettings
from daycast.settings.settings import Settings

__all__ = [
    "DEFAULT_FILE",
    "DriftSettings",
    "Epochs",
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
