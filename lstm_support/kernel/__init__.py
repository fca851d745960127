"""The LSTM layer and updates in C++: lstm.py and classify.py enter."""
from lstm_support.kernel.digest import digest  # noqa: F401
from lstm_support.kernel.layer import (  # noqa: F401  the door
    LSTM, LSTMGradient, SumOverWords, quick_mode, substitute, sum_over_words)
from lstm_support.kernel.threads import n_threads  # noqa: F401
from lstm_support.kernel.updates import in_one_pass  # noqa: F401
