"""Files in a folder: CSV and Parquet.

inbox.py          which files are ready, their chunks, and where they go after ingest
csv.py            the source of kind "csv"
csv_table.py      the text of a CSV file as frames of strings
layout.py         which line is what: header, comments, separators, fixed widths
shapes.py         tables with one value a row, or one column a station
sheets.py         sheets of .xlsx files as the text of a CSV file
parquet.py        the source of kind "parquet"; its rows are read by tables/typed_table.py
station_list.py   a station list as a CSV file
"""
