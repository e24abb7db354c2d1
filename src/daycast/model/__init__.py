"""The forecaster and its training; the only package that imports torch.

Read config.py (what can be chosen), windows.py (what a model sees), network/ (the network), training/ (its training loop),
linear/ (the linear path beside it), fit.py (how all of it is fitted) and forecaster.py (how it forecasts).

GOMP_SPINCOUNT: a waiting thread of libgomp spins for a while before it sleeps. Beside other work its default lets the spinning
threads keep the awaited one from running, so they spin for microseconds here. libgomp reads the variable when torch is loaded.
A value set by the user is kept.
"""

import os

os.environ.setdefault("GOMP_SPINCOUNT", "10000")
