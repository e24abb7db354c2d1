"""From the cells of a table, text or typed, to readings in daycast's units, and to problems in words."""
