insert into watermarks
values ($source, $received_until)
