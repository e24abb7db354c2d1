"""What a file is probably like: the `[[sources]]` table for it, which `daycast init --from FILE` writes.

text.py         the lines of a text: encoding, separator, header, rows
widths.py       columns of fixed width
times.py        which columns are the time, in which form and zone
columns.py      which columns are which variables, in which unit; missing markers, marks, counters
stated.py       units that a header states though the settings say another
names.toml      names of columns and spellings of units, as loggers and services write them
layouts.toml    the files of well-known loggers and services, by what tells each of them
source.py       all of it together, tried out on the file
written.py      the table as TOML, with what is a guess beside it
"""
