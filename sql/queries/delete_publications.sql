delete from publications
