"""The forecaster and its training; the only part that imports torch.

Threads that wait for each other sleep: on a machine with other work the usual spinning keeps the thread that is waited for from
running, and training takes ten times as long. libgomp reads this when torch is loaded; what the user has set stays.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
