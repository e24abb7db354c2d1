"""Files that are dropped into a folder: which are ready, and what becomes of them."""
