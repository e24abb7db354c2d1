select column_name
from duckdb_columns()
where table_name = 'observation_versions'
    and schema_name = 'main'
    and database_name = current_database()
