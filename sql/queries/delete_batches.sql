delete from batches
where list_contains($batch_ids::varchar[], batch_id)
