delete from rejected_readings
where list_contains($batch_ids::varchar[], batch_id)
