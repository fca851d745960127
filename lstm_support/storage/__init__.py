"""Files: written atomically, read without trust. Everybody enters."""
from lstm_support.storage.data_file import (
    OLD_TOKENIZER, Corpus, read_data_file, read_dictionary, write_data_file)
from lstm_support.storage.memory import (
    bounded_memory, free_memory, system_file)
from lstm_support.storage.model_file import (
    RESULTS, compare_graph, load_history, load_options, load_params,
    load_words, parse_options, read_model, read_npz, save_model, shapes_of,
    text_array, words_array, words_of_model, write_npz)
from lstm_support.storage.paths import (
    as_path, atomic_write, check_readable, one_error, open_gzipped_or_not,
    sole_writer, told_from)
