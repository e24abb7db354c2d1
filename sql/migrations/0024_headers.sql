-- The names in the headers of files of which columns are read by their position: another file may have them in another order.

alter table batches add column header varchar;
