"""Calibration: intervals are corrected every week by what the model's own hindcasts got right and wrong.

hindcasts.py forecasts past hours once more, conformal.py learns from them, calibration.py holds and applies the result.
"""
