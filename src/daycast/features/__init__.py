"""From checked observations and readings to what a model reads. No database and no network here: frames and arrays in and out.

Doctor: profile.py (what readings are like). Ingest: deduplicate.py (new readings), hourly.py (the hourly grid). Model:
channels.py (variables to channels, scaling), panel.py (the array of all stations and hours), splits.py (blocks of time),
neighbours.py, solar.py, external_forecasts.py.
"""
