select count(*) > 0 as any_run
from runs
where started_at between $since and $until
