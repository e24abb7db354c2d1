select comment
from duckdb_tables()
where table_name = 'migrations'
    and schema_name = 'main'
    and database_name = current_database()
