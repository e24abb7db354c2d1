-- Every table that holds what the pipeline knows.
select table_name
from duckdb_tables()
where table_name <> 'migrations'
    and schema_name = 'main'
    and database_name = current_database()
order by table_name
