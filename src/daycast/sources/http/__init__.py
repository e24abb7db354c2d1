"""One client for every source that speaks HTTP: bounded, patient, and silent about secrets."""
