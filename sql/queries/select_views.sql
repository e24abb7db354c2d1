select view_name
from duckdb_views()
where schema_name = 'main'
    and database_name = current_database()
