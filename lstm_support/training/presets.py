"""Named settings of a training: rows of options.

'best' is for thousands of texts of any length; it was chosen on training
reviews of films that were held back, see benchmarks/README.rst. 'few' is for
hundreds, and was chosen on validation reviews of the sample. It starts from
the model that comes with the scripts.
"""
from __future__ import absolute_import, division, print_function

import os

PRESETS = {
    'best': dict(
        maxlen=None, n_words=30000, dim_proj=64, encoder='bilstm',
        pooling='both', vectors='learn', ngrams=300000, word_dropout=0.4,
        optimizer='adam', lrate=0.003, schedule='linear', max_epochs=6,
        average=0.999, clip_c=1., calibrate=True, validFreq=-1, saveFreq=-1,
        train_eval_size=1000, dispFreq=100),
    'few': dict(
        reload_model=os.path.abspath(os.path.join(
            __file__, '../../../data/imdb_lstm.npz')),
        maxlen=None, dim_proj=64, encoder='bilstm', pooling='both',
        ngrams=100000, optimizer='adam', lrate=0.0005, max_epochs=8,
        average=0.99, clip_c=1., validFreq=-1, saveFreq=-1, dispFreq=100)}
