"""One client of a published file: answers queries with whichever DuckDB it is started with, and needs nothing else of daycast.

python duckdb_client.py FILE < questions.json: {"views": {name: query}, "macros": {name: query}, "cookbook": {name: query}}, where
{at} stands before each name of the file and {attached_as} at the end of each macro's arguments. Prints {way: {name: answer}}; an
answer is a list of rows, or the error as text.
"""

import json
import sys
from collections.abc import Iterator

import duckdb

ALIAS = 'my "weather", today'
QUOTED = '"' + ALIAS.replace('"', '""') + '"'
NAMED = f", attached_as := '{ALIAS}'"
SEARCH_PATH = "set search_path = '" + f"memory,{QUOTED}".replace("'", "''") + "'"
FINDS_BY_ITSELF = not duckdb.__version__.startswith(
    "1.1."
)  # there, views look for their tables where the caller stands
Questions = dict[str, dict[str, str]]


def plain(value: object) -> object:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def answer(con: duckdb.DuckDBPyConnection, query: str) -> object:
    try:
        return [list(row) for row in con.execute(query).fetchall()]
    except duckdb.Error as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"


def unqualified(con: duckdb.DuckDBPyConnection, questions: Questions) -> dict[str, object]:
    every = (item for group in questions.values() for item in group.items())
    return {name: answer(con, query.replace("{at}", "").replace("{attached_as}", "")) for name, query in every}


def qualified(con: duckdb.DuckDBPyConnection, questions: Questions) -> dict[str, object]:
    """Views and macros from another database, also by a view that is made there, as dbt does."""
    answers = {}
    for name, query in (questions["views"] | questions["macros"]).items():
        text = query.replace("{at}", f"{QUOTED}.main.").replace("{attached_as}", NAMED)
        answers[name] = answer(con, text)
        if name in questions["macros"]:
            con.execute(f"create or replace view mine as {text}")
            answers[f"{name} in a view"] = answer(con, "from mine")
    return answers


def connected(path: str, database: str, **options: bool) -> duckdb.DuckDBPyConnection:
    """A connection in UTC that finds the history beside the file, wherever both were moved to."""
    con = duckdb.connect(database, **options)
    con.execute("set TimeZone = 'UTC'")
    con.execute(f"set variable published_folder = '{path.removesuffix('.duckdb')}'")
    return con


def attached(path: str) -> duckdb.DuckDBPyConnection:
    con = connected(path, ":memory:")
    con.execute(f"attach '{path}' as {QUOTED} (read_only)")
    return con


def ways(path: str, questions: Questions) -> Iterator[tuple[str, dict[str, object]]]:
    with connected(path, path, read_only=True) as con:
        yield "opened", unqualified(con, questions)
    with attached(path) as con:
        con.execute(f"use {QUOTED}")
        yield "attached, use", unqualified(con, questions)
    with attached(path) as con:
        con.execute(SEARCH_PATH)
        yield "attached, search_path", unqualified(con, questions)
    with attached(path) as con:
        if not FINDS_BY_ITSELF:
            con.execute(SEARCH_PATH)
        yield "attached, qualified", qualified(con, questions)


if __name__ == "__main__":
    answers = dict(ways(sys.argv[1], json.load(sys.stdin)))
    print(json.dumps({"version": duckdb.__version__, "ways": answers}, default=plain))
