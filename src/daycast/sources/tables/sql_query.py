"""What an operator's query may be: one statement that reads, and which of the two moments it asks for."""

from functools import cache

import duckdb

MOMENTS = {"since", "until"}


def validate_query(query: str) -> str:
    """Return the query if it is one select statement with no parameters but $since and $until; raise ValueError if not."""
    try:
        statements = _statements(query)
    except duckdb.Error as error:
        raise ValueError(f"the query cannot be read: {first_line(str(error))}") from None
    if len(statements) != 1:
        raise ValueError(f"the query must be one select statement, and it has {len(statements)} statements")
    if statements[0].type != duckdb.StatementType.SELECT:
        raise ValueError(f"the query must be a select statement, and it is {statements[0].type.name}")
    unknown = sorted(parameters_of(query) - MOMENTS)
    if unknown:
        raise ValueError(f"the query has the parameter ${unknown[0]}: there are only $since and $until")
    return query


@cache
def parameters_of(query: str) -> frozenset[str]:
    """The names of the parameters in a query, without the dollar sign."""
    return frozenset(name for statement in _statements(query) for name in statement.named_parameters)


def first_line(message: str) -> str:
    """What went wrong, without the hints that DuckDB and polars let follow."""
    line, _, rest = message.strip().partition("\n")
    if line.endswith(":"):
        line += " " + rest.partition("\n")[0]
    return line.partition(" Hint: ")[0][:300]


def _statements(query: str) -> list[duckdb.Statement]:
    with duckdb.connect(":memory:") as con:
        return con.extract_statements(query)
