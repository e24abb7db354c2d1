"""The simulated network: the built-in demonstration, and the ground truth for tests of quality control.

places.py    random numbers that never change, and where the stations are
weather.py   the true weather at every station and hour
faults.py    what sensors and networks do to it
source.py    the source of kind "simulated": readings, external forecasts, and the truth
"""
