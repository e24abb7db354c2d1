-- Each hour of issue has a calibration of its own; until now three hours shared one, which each of them keeps.

update calibrations set
    shift = [shift[i // 72 * 24 + i % 24 + 1] for i in range(24 * 24)],
    stretch = [stretch[i // 504 * 168 + i % 168 + 1] for i in range(24 * 168)];
comment on column calibrations.shift is 'In standard deviations of the variable, for each hour of issue in mean solar time (24), of each lead (24).';
comment on column calibrations.stretch is 'For each hour of issue in mean solar time (24), of each lead (24), of each quantile (7).';
