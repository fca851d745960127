"""What people see of a saved model; only classify.py enters."""
from lstm_support.explain.contributions import (
    Explanation, compile_contributions, contributions)
from lstm_support.explain.estimator import estimator
from lstm_support.explain.inputs import (
    check_ids, check_texts, read, read_labelled)
from lstm_support.explain.names import class_names, match
from lstm_support.explain.onnx_file import export
from lstm_support.explain.page import as_json, as_page, as_text
from lstm_support.explain.plot import plot
from lstm_support.explain.scores import (
    as_json as scores_as_json, report, scores)
from lstm_support.explain.watch import as_page as cells_as_page, watch
