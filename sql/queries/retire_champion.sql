update models
set role = 'retired'
where role = 'champion'
