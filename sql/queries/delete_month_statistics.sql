-- Of every month in which one of `ranges` lies.
delete from month_statistics
using ranges
where ranges.station_id = month_statistics.station_id
    and month_statistics.month between date_trunc('month', ranges.since) and ranges.until
