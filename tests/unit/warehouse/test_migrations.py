"""Migrations for DuckLake: the statements without check constraints make the same tables."""

import duckdb
import pytest

from daycast.warehouse.migrations import for_each_check, order_views, strip_checks
from daycast.warehouse.statements import sql_folder


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("a double check (a between -90 and 90), b int", "a double, b int"),
        ("a int not null check (a in ('x', 'y)')),\n    check (a = f(b))\n)", "a int not null\n)"),
        ("a int,\n check (a < (b + 1)),\n check (b > 0)\n)", "a int\n)"),
        ('-- still to check (later)\n"check (x)" varchar', '-- still to check (later)\n"check (x)" varchar'),
        (
            "comment on column t.air_check is 'a check (of it''s kind)'",
            "comment on column t.air_check is 'a check (of it''s kind)'",
        ),
    ],
)
def test_checks_go_and_all_else_stays(sql: str, expected: str) -> None:
    assert strip_checks(sql) == expected


def test_a_schema_without_checks_has_the_same_columns_and_takes_what_the_other_refuses() -> None:
    described = []
    for change in (str, strip_checks):
        with duckdb.connect() as con:
            for path in sorted((sql_folder() / "migrations").glob("*.sql")):
                con.execute(change(for_each_check(con, path.read_text())))
            columns = "table_name, column_name, data_type, is_nullable, column_default, comment"
            query = f"select {columns} from duckdb_columns() order by all"
            described.append(con.execute(query).fetchall())
            constraints = "select count(*) from duckdb_constraints() where constraint_type = 'CHECK'"
            described.append(con.execute(constraints).fetchall()[0][0] > 0)
    assert described[0] == described[2]
    assert described[1::2] == [True, False]


def test_views_are_created_after_the_views_they_read() -> None:
    views = {
        "a": "create view a as from b join c using (x)",
        "b": "create view b as from c",
        "c": "create view c as select 'a' as x  -- not a",
    }
    assert order_views(views) == [views[name] for name in "cba"]
