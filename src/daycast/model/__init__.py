"""The forecaster and its training; the only part that imports torch.

Threads that wait for each other spin for microseconds, then sleep: beside other work, those that spin as long as libgomp lets
them keep the thread that is waited for from running. libgomp reads this when torch is loaded; what the user has set stays.
"""

import os

os.environ.setdefault("GOMP_SPINCOUNT", "10000")
