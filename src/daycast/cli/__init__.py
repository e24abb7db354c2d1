"""The commands: each reads its arguments, and imports what it needs only when it is called."""
