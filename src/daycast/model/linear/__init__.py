"""The linear path: ridge regression beside the recurrent network, which learns what it leaves.

ridge.py has features, moments and their solution; fit.py cross-fits and refits them; external_correction.py adds a correction by
external forecasts. P features, H leads, V targets.
"""
