delete from calibrations
where model_id = $model_id
    and calibrated_at = $calibrated_at
