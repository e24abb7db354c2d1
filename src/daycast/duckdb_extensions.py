"""DuckDB's extensions, from Python packages or from DuckDB's own folder; never from the network."""

from importlib.util import find_spec
from pathlib import Path

import duckdb


def load_extension(con: duckdb.DuckDBPyConnection, name: str) -> None:
    """Load an extension from its package `duckdb_extension_NAME` if installed, else from DuckDB's own folder.

    Raises duckdb.Error if it is in neither for this version of DuckDB.
    """
    package = find_spec(f"duckdb_extension_{name}")
    folders = [] if package is None else list(package.submodule_search_locations or ())
    files = [Path(folder) / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension" for folder in folders]
    found = next((str(file).replace("'", "''") for file in files if file.is_file()), None)
    con.execute(f"load '{found}'" if found else f"load {name}")
