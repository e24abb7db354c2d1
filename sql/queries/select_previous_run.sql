select max(as_of) as as_of
from runs
where flow = $flow
    and status = 'done'
    and as_of <= $now
