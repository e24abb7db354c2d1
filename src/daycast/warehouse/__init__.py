"""The warehouse: the pipeline's own DuckDB database, in a file or on a DuckLake.

Start with `warehouse`: the class `Warehouse` is the only way in, and `transaction`, `frames`, `insert` and `read_frame` are what
every other module is built from. `statements` finds the named SQL of sql/queries, `migrations` keeps the schema current.

Then one module per family of tables, in the order of the data: `readings`, `observations`, `forecasts`, `models`, `runs`.
`append_only` records which rows of the large tables changed, and `publish` writes the file that analysts read.

For operators: `maintenance` (retention, copying a warehouse), `lake` and `object_storage` (tables on DuckLake, Parquet on S3).
"""
