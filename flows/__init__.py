"""The Prefect flows: thin, each task one call of the library.

Times are ISO 8601; `until` makes a flow run as if the clock stood there.
"""
