"""Options, state and tools of a training. Only lstm.py enters."""
from lstm_support import theano_fixes  # before Theano
from lstm_support.training import metrics, options, parallel
from lstm_support.training.graph import (
    check_graph, check_prediction, gradients, set_test_values, width)
from lstm_support.training.metrics import missing, pred_error, pred_probs
from lstm_support.training.ngrams import ngram_scores, none as no_ngrams
from lstm_support.training.presets import PRESETS
from lstm_support.training.parallel import MRG_RandomStreams
from lstm_support.training.report import Status, check_memory, failure
from lstm_support.training.rows import Average, clipped, rows_of
from lstm_support.training.start import initialize
from lstm_support.training.state import (
    EarlyStopping, Progress, Saver, run_configuration)
