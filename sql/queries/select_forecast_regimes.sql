-- What the model had to work with in the newest issue up to $as_of.
select
    input_regime,
    count(distinct station_id) as stations
from forecasts
where issued_at = (select max(issued_at) from forecasts where issued_at <= $as_of)
group by input_regime
order by stations desc, input_regime
