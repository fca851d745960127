"""Files: written atomically, read without trust. Everybody enters."""
from lstm_support.storage.arrays import (  # noqa: F401  the door
    read_npz, text_array, write_npz)
from lstm_support.storage.data_file import (  # noqa: F401
    OLD_TOKENIZER, Corpus, read_data_file, read_dictionary,
    write_data_file)
from lstm_support.storage.memory import (  # noqa: F401
    bounded_memory, free_memory, system_file)
from lstm_support.storage.model_file import (  # noqa: F401
    RESULTS, compare_graph, load_history, load_options, load_params,
    load_words, parse_options, read_model, save_model, shapes_of, words_array,
    words_of_model)
from lstm_support.storage.paths import (  # noqa: F401
    as_path, atomic_write, check_readable, one_error, open_gzipped_or_not,
    sole_writer, told_from)
