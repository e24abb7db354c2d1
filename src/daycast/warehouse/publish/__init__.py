"""Publishing: the read-only DuckDB file that analysts open, and the Parquet files beside it.

Read `publication` (making and replacing the file), then `history` (large tables as Parquet files), then `query` (reading it).
"""
