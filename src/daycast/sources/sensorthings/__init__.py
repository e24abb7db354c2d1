"""The parts of the source sensorthings."""
