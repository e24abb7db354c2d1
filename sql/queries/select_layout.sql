-- Changes whenever the columns of a table that grows may have changed, or their values by a migration.
select md5(
    (select string_agg(name, ' ' order by name) from migrations)
    || (
        select string_agg(concat_ws(' ', table_name, column_name, data_type), ', ' order by table_name, column_index)
        from duckdb_columns()
        where database_name = current_database()
            and table_name in ('forecasts', 'scores', 'observation_versions', 'covariates')
    )
) as layout
