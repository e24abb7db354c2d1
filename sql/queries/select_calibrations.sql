-- The newest calibration of a model that was there at a moment.
select *
from calibrations
where model_id = $model_id
    and calibrated_at = (
        select max(calibrated_at)
        from calibrations
        where model_id = $model_id
            and calibrated_at <= $as_of
    )
order by forecaster
