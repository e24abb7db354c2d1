"""daycast: tomorrow's weather at your own sensors, every hour, as SQL tables."""

__version__ = "0.1.0"
