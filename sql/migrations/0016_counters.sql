-- The numbers of counters, totals of a running hour and rates: the amount of a row needs the number of the row before.

create table counters (
    source varchar not null,
    counter varchar not null,
    station_id varchar not null,
    variable varchar not null,
    observed_at timestamptz not null,
    received_at timestamptz not null,
    number double not null
);
comment on table counters is 'Numbers from which amounts in readings were made, as delivered in the variable''s unit: of counters, totals of a running hour, and rates.';
