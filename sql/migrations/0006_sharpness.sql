-- How sharp the scored forecasts were, beside how right: null in scores that were written before this was kept.

alter table scores add column pinball double;
alter table scores add column width_50 double;
alter table scores add column width_80 double;
alter table scores add column width_90 double;
comment on column scores.pinball is 'Mean pinball loss over the seven levels, each counting alike, in the variable''s unit; smaller is better.';
comment on column scores.width_50 is 'Mean of q75 - q25, in the variable''s unit.';
comment on column scores.width_80 is 'Mean of q90 - q10, in the variable''s unit.';
comment on column scores.width_90 is 'Mean of q95 - q05, in the variable''s unit.';
