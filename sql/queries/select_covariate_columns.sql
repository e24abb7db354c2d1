select column_name
from duckdb_columns()
where table_name = 'covariates'
    and schema_name = 'main'
    and database_name = current_database()
