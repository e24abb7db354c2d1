"""How good forecasts are, which forecaster serves, and whether served forecasts have become worse.

`scores` defines every score. `serving` (who serves which variable and station), `gain` (what to expect of one forecaster in
another's place) and `promotion` make the decision on the holdout. `drift` watches what is served, with the paired
test of `significance`.
"""
