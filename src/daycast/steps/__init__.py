"""The steps of the pipeline: the only place where the warehouse and sources meet the pure code. Each reads, computes, writes.

One module per step, in the order in which a run takes them:

- `ingest` fetches from the sources; `load` stores their batches, `rejections` keeps bad rows, `observe` computes observations.
- `train` retrains: snapshot, fit (`fit`, needs no warehouse), `evaluate` (challenger against champion on the holdout), register.
- `forecast` issues the next 24 hours; `verify` scores past forecasts and looks for drift; `calibrate` renews the intervals.
- `publish` writes what people read: the published file, the summary, the report page, a picture.

Besides the run: `backfill`, `backtest`, `doctor` (with `preview`, which reads without storing), `maintain`, `registry`. Used by
several steps: `record_run` (the log of runs) and `map_blocks` (who computes blocks of stations).
"""
