"""The published file, which is what analysts read."""
