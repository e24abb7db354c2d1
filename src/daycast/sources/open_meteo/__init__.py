"""The parts of the source open_meteo."""
