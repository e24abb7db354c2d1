-- When served forecasts were found to be worse than they should be.

create table drifts (
    model_id varchar not null,
    variable varchar not null,
    measure varchar not null check (measure in ('skill', 'coverage')),
    rival varchar,
    observed double not null,
    bound double not null,
    p_value double not null,
    days bigint not null,
    since date not null,
    until date not null,
    found_at timestamptz not null
);
comment on table drifts is 'Where a champion''s served forecasts were proven worse than their bound, a row for each time that began; a retraining is due then.';
comment on column drifts.measure is 'skill: CRPS over that of the best baseline of those days; coverage: share of what came within q10 to q90.';
comment on column drifts.rival is 'The baseline that skill was measured against; null for coverage.';
comment on column drifts.observed is 'The measure over those days: a ratio above its bound, or a share below it.';
comment on column drifts.bound is 'What the measure had to keep to: for skill from the ratio of the judgement before promotion.';
comment on column drifts.p_value is 'Of the test over days: how likely the days were by luck if the measure stood at its bound.';
comment on column drifts.days is 'How many days were scored from since to until.';
comment on column drifts.since is 'The first UTC day of validity that was looked at.';
comment on column drifts.until is 'The last UTC day of validity that was looked at.';
comment on column drifts.found_at is 'When it was found; over when a champion is promoted later.';
