"""NOAA's station-years: where they lie, how their lines read."""
