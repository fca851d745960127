"""The map of the helpers: six rooms, each with one door.

A room's ``__init__.py`` lists what is public in it; nobody imports past it.
To understand the model, you need none of them.

corpora/        folders, archives and tables of texts become a data file:
                imdb.py enters, and explain for the tables of predict
training/       options, state, processes and reports of a training: lstm.py
explain/        explained predictions; models for other programs: classify.py
kernel/         the layer and updates in C++: lstm.py and classify.py
storage/        files, written atomically and read without trust: everybody
theano_fixes/   Theano 1.0.5, made to run here: everybody, before Theano

Three modules lie in no room, since everybody uses them:

terminal.py     output that never fails, signals
splits.py       which reviews are for training, which for validation
text.py         how a text becomes words
"""
