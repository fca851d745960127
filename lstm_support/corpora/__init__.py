"""Texts in folders, archives and tables become a data file. imdb.py enters."""
from lstm_support.corpora.preprocessing import (
    encode_reviews, main, preprocess, write_vectors)
from lstm_support.corpora.reviews import read_reviews, read_texts
from lstm_support.corpora.skipgram import train as train_vectors
from lstm_support.corpora.sources import (
    Notes, Review, Source, check_text, decode_text, encoding_of, noted)
from lstm_support.corpora.tables import (
    is_table, read as read_table, read_texts as read_table_texts)
