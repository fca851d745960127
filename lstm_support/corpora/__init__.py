"""Texts in folders, archives and tables become a data file. imdb.py enters."""
