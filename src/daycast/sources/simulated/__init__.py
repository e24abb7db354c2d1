"""The weather and the troubles of the simulated network."""
