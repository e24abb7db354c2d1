"""How good forecasts are, which forecaster serves, and whether served forecasts have become worse.

`scores` defines every score. `significance` is the paired test that all decisions use. `serving` (who serves which variable and
station), `fallbacks` and `promotion` make the decision on the holdout; `drift` watches what is served.
"""
