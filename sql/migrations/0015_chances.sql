-- How sure a fallback's advantage is, as the chance that it will be better. A p-value of earlier versions says nearly 1 less that.

alter table fallbacks rename column p_value to chance;
update fallbacks set chance = 1 - chance;
comment on column fallbacks.chance is 'The chance that it will be better than whoever would serve otherwise.';
comment on table fallbacks is 'Where a baseline of the same fit serves in a model''s place, because it is expected to be better there.';
