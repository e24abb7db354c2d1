"""NOAA's archives of surface reports, cut into station-years: a file with what one station reported in one year.

isd_lite.py        the source of kind "isd_lite", and the format of its lines
ghcnh.py           the source of kind "ghcnh", and its station lists
ghcnh_reports.py   the format of GHCNh files
archive.py         `NoaaArchive`, what both sources share: settings, fetching, batches
station_years.py   where station-years are (a folder or the web), and which of them are new
"""
