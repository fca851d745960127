"""What people see of a saved model; only classify.py enters."""
from lstm_support.explain.contributions import (  # noqa: F401
    Explanation, compile_contributions, contributions)
from lstm_support.explain.estimator import estimator  # noqa: F401
from lstm_support.explain.inputs import (  # noqa: F401
    check_ids, check_texts, read, read_labelled)
from lstm_support.explain.names import class_names, match  # noqa: F401
from lstm_support.explain.onnx_file import export  # noqa: F401
from lstm_support.explain.page import (  # noqa: F401
    as_json, as_page, as_text)
from lstm_support.explain.plot import plot  # noqa: F401
from lstm_support.explain.scores import (  # noqa: F401
    as_json as scores_as_json, report, scores)
from lstm_support.explain.watch import (  # noqa: F401
    as_page as cells_as_page, watch)
