delete from watermarks
where source = $source
