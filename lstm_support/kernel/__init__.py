"""The LSTM layer in C++: lstm.py and classify.py enter."""
from lstm_support.kernel.layer import (  # noqa: F401  the door
    LSTM, LSTMGradient, substitute)
from lstm_support.kernel.quick import quick_mode  # noqa: F401
