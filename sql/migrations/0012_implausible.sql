-- A forecast far outside anything its station was ever seen to do is published with a flag.

alter table forecasts add column implausible boolean;
comment on column forecasts.implausible is 'Whether the median lies further outside the range observed so far than half its width: something is probably wrong. Null in forecasts that were made before this was kept.';
