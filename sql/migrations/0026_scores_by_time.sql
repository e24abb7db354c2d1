-- Published files of scores hold what was scored in an hour, no longer a day's scores: they are all written anew once.

delete from unpublished where table_name = 'scores';
