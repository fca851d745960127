"""The LSTM layer in C++: lstm.py and classify.py enter."""
