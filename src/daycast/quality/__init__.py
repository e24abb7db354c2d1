"""Quality control: what a row must satisfy to be stored, and how far each stored value can be trusted.

Read in this order: `contracts` (pandera schemas of readings, observations and forecasts), `flags` (QARTOD flags and what a
model may read), `limits` (thresholds), the checks in `range`, `temporal` and `consistency`, `as_of` (which version of an
observation was current at a moment), and `flag_table`, which runs every check on every version.

Everything here is pure: frames and arrays in, frames and arrays out. Nothing reads a file, a database or the clock.
"""
