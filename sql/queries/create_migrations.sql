create table if not exists migrations (
    name varchar not null,
    checksum varchar not null,
    applied_at timestamptz not null
)
