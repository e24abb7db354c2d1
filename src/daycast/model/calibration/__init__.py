"""Calibration: intervals learned from the model's own past forecasts."""
