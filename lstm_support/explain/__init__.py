"""A prediction, explained and shown. classify.py enters."""
