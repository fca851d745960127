"""Files: written atomically, read without trust. Everybody enters."""
