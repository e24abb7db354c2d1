"""The source of kind "mqtt": readings that sensors publish to a broker.

Order: `messages` (what a message says), `listener` (the connection to the broker), `source` (the settings, and the batches).
"""
