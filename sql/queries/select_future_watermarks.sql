-- Watermarks later than $latest, and up to which receipt each source had been taken in by $now.
select
    source,
    watermarks.received_until as watermark,
    max(batches.received_until) filter (batches.received_until <= $now) as received_until
from watermarks
left join batches using (source)
where watermarks.received_until > $latest
group by all
order by source
