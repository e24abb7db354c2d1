insert into publications by name
select $publication_id as publication_id
