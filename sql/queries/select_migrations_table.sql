-- Not from duckdb_tables(), which asks after the size of each table, also of those of a lake's catalogue.
select distinct table_name
from duckdb_columns()
where table_name = 'migrations'
    and schema_name = 'main'
    and database_name = current_database()
