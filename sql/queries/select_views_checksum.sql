select comment
from duckdb_columns()
where table_name = 'migrations'
    and column_name = 'checksum'
    and schema_name = 'main'
    and database_name = current_database()
