"""Options, state and tools of a training. Only lstm.py enters."""
from lstm_support import theano_fixes  # noqa: F401  before Theano
from lstm_support.training import (  # noqa: F401  the door
    metrics, options, parallel)
from lstm_support.training.graph import (  # noqa: F401
    check_graph, check_prediction, gradients, set_test_values, width)
from lstm_support.training.metrics import (  # noqa: F401
    missing, pred_error, pred_probs)
from lstm_support.training.ngrams import (  # noqa: F401
    ngram_scores, none as no_ngrams)
from lstm_support.training.presets import PRESETS  # noqa: F401
from lstm_support.training.parallel import MRG_RandomStreams  # noqa: F401
from lstm_support.training.report import (  # noqa: F401
    Status, check_memory, failure)
from lstm_support.training.rows import (  # noqa: F401
    Average, clipped, rows_of)
from lstm_support.training.start import initialize  # noqa: F401
from lstm_support.training.state import (  # noqa: F401
    EarlyStopping, Progress, Saver, run_configuration)
