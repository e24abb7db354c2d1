"""What people see: the report page, and texts and tables for the terminal.

The page: `page` puts it together from `sections`, `charts` and the files in `templates`. The terminal: `summary` (after a run),
`source_view` (`daycast doctor`), `model_card` (`daycast models`), `table` (`daycast sql`), `progress` (bars) and `terminal` (text
in cells). Both use `skill`, the numbers behind every comparison, and `plain_values`, the values of a frame as plain Python.
"""
