-- What a delivery was refused for as a whole, and as of which moment scores hold: what is written bears the time of writing, even
-- where nothing later than a moment in the past was used.

alter table batches add column reason varchar;
comment on column batches.reason is 'Why nothing of the delivery was taken in; null where it was.';

alter table scores add column as_of timestamptz;
comment on column scores.as_of is 'What came is what was known at this moment; null where that is scored_at.';
