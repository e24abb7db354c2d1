"""The command line: one file for each group of commands in `daycast --help`.

`arguments` builds the parser and its help. `first_steps`, `results`, `pipeline`, `past_hours` and `operation` add their commands
to it; each command imports what it needs only when it runs, so that `--help` is fast. `flows` loads a Prefect flow, `output`
prints tables, `error_log` keeps the tracebacks of unexpected errors.
"""
