"""Sensor networks that speak OGC SensorThings, such as FROST servers.

source.py         the source of kind "sensorthings": settings, and the way through all Things
things.py         Things (stations), their positions and Datastreams, page by page
datastreams.py    which Datastream holds which variable, in which unit
observations.py   the Observations of a station, span by span, joined into rows
"""
