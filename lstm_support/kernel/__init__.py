"""The LSTM layer and updates in C++: lstm.py and classify.py enter."""
from lstm_support.kernel.digest import digest
from lstm_support.kernel.layer import (
    LSTM, LSTMGradient, SumOverWords, quick_mode, substitute, sum_over_words)
from lstm_support.kernel.threads import n_threads
from lstm_support.kernel.updates import in_one_pass
