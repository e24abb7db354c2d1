"""From the cells of a table to readings in daycast's units, and to problems in words.

  short_forms.py   short ways to write a setting: "2d" for a duration, one name for a list
  units.py         the units that sources write, converted to daycast's
  times.py         from text, timestamps or counts to UTC, daylight saving included
  values.py        from one column of text or numbers to one variable
  columns.py       the settings that say which column holds what
  typed_table.py   a whole table with column types: what Parquet files and query results share

CSV files, whose columns are all text, put these parts together in files/csv.py.
"""
