"""Nothing in this folder is about reviews.

A reader of the model may skip it.
"""
