"""Untrusted files: data, dictionaries, models, archives, tables, vectors.

Reading one ends in valid data or in one clear error. Nothing in it runs, and
memory is bounded.
"""
import csv
import gzip
import io
import json
import os
import pickle
import resource
import struct
import tarfile
import tempfile
import threading
import zipfile

import numpy
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

import classify
import imdb
import lstm
from conftest import run_python
from lstm_support import corpora, storage
from lstm_support.storage import memory
from lstm_support.training import start, state as checkpoint

TRAIN = ([[2, 300, 70000], [4], []], [1, 0, 1])
TEST = ([[7, 8]], [0])
WORDS = {'a': 2, 'word': 300, u'caf\xe9': 70000}
OPTIONS = {'n_words': 12, 'dim_proj': 3, 'ydim': 2}
PARAMS = lstm.init_params(OPTIONS)  # Theano infers a shape: 0.2 s
MB = 2 ** 20


@pytest.fixture(autouse=True)
def small_bound(monkeypatch):
    monkeypatch.setattr(memory, 'BOUND', 256 * MB)


def data_file(*ends, protocol=2):
    """A data file of 2014, with more pickles at its end."""
    return b''.join(pickle.dumps(each, protocol)
                    for each in (TRAIN, TEST) + ends)


ABOUT = {'words': ['a', u'caf\xe9'], 'classes': ['bad', 'good'],
         'tokenizer': 'a rule', 'valid': ([[3]], [1]), 'groups': [0, 1, 1]}


def npy(data, descr="'<f4'", shape='(2,)', version=b'\x01\x00'):
    """A .npy file that declares this; `descr` may be the header, in bytes."""
    header = descr if isinstance(descr, bytes) else (
        "{'descr': %s, 'fortran_order': False, 'shape': %s, }\n"
        % (descr, shape)).encode()
    size = struct.pack('<H' if version == b'\x01\x00' else '<I', len(header))
    return b'\x93NUMPY' + version + size + header + data


def model_file(**changes):
    """A model, in which arrays are changed, or replaced by other bytes."""
    f = io.BytesIO()
    with zipfile.ZipFile(f, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, value in changes.items():
            if isinstance(value, bytes):
                archive.writestr(name + '.npy', value)
    with zipfile.ZipFile(f, 'a') as archive:
        for name, value in dict(PARAMS, **changes).items():
            if value is not None and not isinstance(value, bytes):
                member = io.BytesIO()
                numpy.save(member, value)
                archive.writestr(name + '.npy', member.getvalue())
    return f.getvalue()


REVIEWS = [('d/train/neg/1.txt', b'Bad.'), ('d/train/pos/1.txt', b'Good.'),
           ('d/test/neg/1.txt', b'Dull.'), ('d/test/pos/1.txt', b'Fine.')]


def archive_file(members=()):
    """A small archive, with more members: (TarInfo, bytes)."""
    f = io.BytesIO()
    with tarfile.open(fileobj=f, mode='w') as archive:
        for member, text in [(tarfile.TarInfo(name), text)
                             for name, text in REVIEWS] + list(members):
            member.size = len(text) if text is not None else member.size
            archive.addfile(member, io.BytesIO(text or b''))
    return f.getvalue()


def zip_file(members=(), packed=zipfile.ZIP_DEFLATED):
    """A small zip archive, with more members: (name or ZipInfo, bytes)."""
    f = io.BytesIO()
    with zipfile.ZipFile(f, 'w', packed) as archive:
        for name, data in REVIEWS[1:] + [
                ('d/train/neg.txt', b'Bad.\nDull.')] + list(members):
            archive.writestr(name, data)
    return f.getvalue()


ROWS = [('Good, "fine".', 'pos', 'train'), ('Bad.\nDull.', 'neg', 'train'),
        (u'Caf\xe9', 'neg', 'test'), ('Fine', 'pos', 'test')]
COLUMNS = ('text', 'label', 'split')
JSONL = '\n'.join(json.dumps(dict(zip(COLUMNS, row)))
                  for row in ROWS).encode('ascii')


def table_file(dialect):
    f = io.StringIO(newline='')
    csv.writer(f, dialect).writerows([COLUMNS] + ROWS)
    return f.getvalue().encode('utf-8')


def load_data(path):
    corpus = storage.read_data_file(path)
    for reviews, labels in corpus[:3]:
        assert len(reviews) == len(labels)
        for ids in reviews + [labels]:
            assert type(ids) is list and all(n >= 0 for n in ids)
            assert set(map(type, ids)) <= {int, bool}
    load_dictionary(path)
    assert corpus.groups is None or len(corpus.groups) == len(corpus.train[0])


def load_dictionary(path):
    corpus = storage.read_dictionary(path)
    for word, n in (corpus.dictionary or {}).items():
        assert type(word) is str and type(n) is int and n >= 0
    assert all(type(name) is str for name in corpus.classes or ())
    assert corpus.tokenizer is None or type(corpus.tokenizer) is str


def load_model(path):
    """Load all that predicting, plotting and resuming take from a model."""
    words = lstm.load_words(path)
    assert words is None or all(type(word) is str for word in words)
    assert lstm.load_history(path).shape[1] == 5
    params, options = classify.load_model(path)
    assert len(options['classes']) == options['ydim']
    if 'U' not in params:  # its name in the archive is damaged
        classify.build(path)
    assert options['ydim'] == params['U'].shape[1]
    assert all(type(name) is str for name in options['classes'])


def load_params(path):
    params = lstm.load_params(path, dict(PARAMS))
    for name, value in PARAMS.items():
        assert params[name].shape == value.shape
        assert params[name].dtype == value.dtype
        assert numpy.isfinite(params[name]).all()


def new_progress():
    return checkpoint.Progress(
        lstm.init_tparams(PARAMS), (), lstm.EarlyStopping(10))


def load_progress(path):
    """Load a checkpoint; values in its arrays need not make sense."""
    checkpoint.changed_options(path, {'seed': 1})
    new_progress().load(path)


def progress_file():
    progress = new_progress()
    progress.update, progress.history = 2, numpy.full((1, 5), 0.5)
    progress.stopping.best_err = 0.5
    progress.best_params = PARAMS
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'x.resume.npz')
        progress.save(path, {'seed': 1})
        with open(path, 'rb') as f:
            return f.read()


def read_reviews(path):
    for split, label, text, _ in imdb.read_reviews(path):
        assert split in ('train', 'valid', 'test') and label
        assert type(text) is str and type(label) is str


def read_texts(path):
    assert set(map(type, corpora.read_table_texts(path))) <= {str}


def load_vectors(path):
    table = numpy.zeros((4, 3), 'float32')
    start.load_vectors(path, table, {'good': 2, u'caf\xe9': 3, '&amp;': 70000})
    assert numpy.isfinite(table).all() and not table[:2].any()


LOADERS = {'data': (load_data, data_file(ABOUT)),
           'data of 1.1': (load_data, data_file(
               ABOUT['valid'], [[name, ABOUT[name]] for name in (
                   'classes', 'tokenizer', 'groups')])),
           'dictionary': (load_dictionary, pickle.dumps(WORDS, 2)
                          + pickle.dumps({'neg': 0, 'pos': 1}, 2)),
           'parameters': (load_params, model_file()),
           'model': (load_model, model_file(
               words=numpy.frombuffer(b'\n\nw' + b'\n' * 9, 'uint8'),
               history=numpy.zeros((1, 5)), options=storage.text_array(dict(
                   OPTIONS, classes=['neg', 'pos'], use_dropout=True)))),
           'checkpoint': (load_progress, progress_file()),
           'archive': (read_reviews, archive_file()),
           'archive.gz': (read_reviews, gzip.compress(archive_file())),
           'zip': (read_reviews, zip_file()),
           'csv': (read_reviews, table_file('excel')),
           'csv.gz': (read_reviews, gzip.compress(table_file('excel'))),
           'tsv': (read_reviews, table_file('excel-tab')),
           'jsonl': (read_reviews, JSONL),
           'json': (read_texts, b'[' + JSONL.replace(b'\n', b',') + b']'),
           'vectors': (load_vectors, u'2 3\ngood 1 2 -3.5\n'
                                     u'caf\xe9 1e-3 0 7\n'.encode('utf-8'))}


def named(folder, kind):
    """Path of a file of this kind: tables are known by their names."""
    return folder / ('x.' + kind)


def write(path, data):
    """Write a new file: to write over one takes 5 ms more on ext4."""
    if os.path.exists(path):
        os.unlink(path)
    with open(path, 'wb') as f:
        f.write(data)


def refused(load, path, data, words=''):
    """Assert that loading ends in one sentence, and restores the limit."""
    path, limit = str(path), limit_of_memory()
    write(path, data)
    with pytest.raises((ValueError, IOError), match=words) as caught:
        load(path)
    assert type(caught.value) in (ValueError, IOError, FileNotFoundError)
    assert path in str(caught.value) and '\n' not in str(caught.value)
    assert limit_of_memory() == limit


# ---- Any bytes --------------------------------------------------------------

def attempt(load, path, data):
    """Loading works, or ends in an error that names the file."""
    write(str(path), data)
    try:
        load(str(path))
    except (ValueError, IOError) as error:
        assert str(path) in str(error) and '\n' not in str(error)
        assert type(error) in (ValueError, IOError)


def test_undamaged_files_load_and_reading_writes_nothing(tmp_path):
    for kind, (load, complete) in LOADERS.items():
        path = named(tmp_path, kind)
        path.write_bytes(complete)
        load(str(path))
        assert os.listdir(str(tmp_path)) == [path.name]
        path.unlink()


@pytest.mark.parametrize('kind', LOADERS)
# The test function's fixtures are the same for all examples, and may be.
@settings(max_examples=500, deadline=None, suppress_health_check=[
    HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=some.data())
def test_damaged_files_and_any_bytes(tmp_path, kind, data):
    load, complete = LOADERS[kind]
    damaged = bytearray(complete if data.draw(some.integers(0, 9)) else
                        data.draw(some.binary(max_size=300)))
    for _ in range(data.draw(some.integers(1, 4))):
        place = data.draw(some.integers(0, len(complete) - 1))
        piece = data.draw(some.binary(max_size=6))
        gone = data.draw(some.integers(0, 6))
        damaged[place:place + gone] = piece
    attempt(load, named(tmp_path, kind), bytes(damaged))


@pytest.mark.parametrize('kind', LOADERS)
def test_every_truncation(tmp_path, kind):
    load, complete = LOADERS[kind]
    step = 1 if len(complete) < 2000 else 37
    # Complete pickles of an older form; tables that end between two rows, or
    # in a number; a tar without some of the zeros at its end.
    older = [data_file(), data_file(ABOUT['valid']), pickle.dumps(WORDS, 2)]
    for n in range(0, len(complete), step):
        if kind == 'archive' and n >= 7 * 512:
            break
        if complete[:n] in older or kind in ('csv', 'tsv', 'jsonl',
                                             'vectors'):
            attempt(load, named(tmp_path, kind), complete[:n])
        else:
            refused(load, named(tmp_path, kind), complete[:n])


# ---- Memory -----------------------------------------------------------------

# Files that would fill the memory: the function of storage that reads each,
# and one that makes its content. 0.5 billion ids are references to a review.
BOMBS = {
    'references to a review': ('read_data_file', lambda: (
        b'\x80\x02(](](' + b'K\x05' * 10 ** 4 + b'eq\x01' + b'h\x01' * 50000
        + b'e](' + b'K\x01' * 50001 + b'et.' + pickle.dumps(TEST, 2))),
    'lists in lists': ('read_data_file', lambda: gzip.compress(
        b']' * (9 * MB), 1)),
    'a declared size': ('read_data_file', lambda: (
        b'\x80\x04\x8e' + struct.pack('<Q', 2 ** 40) + b'.')),
    'gzip': ('read_data_file', lambda: gzip.compress(b'\0' * (300 * MB), 1)),
    'npz': ('load_words', lambda: model_file(words=npy(
        b'\0' * (300 * MB), "'|u1'", '(%d,)' % (300 * MB)))),
    'npz, a false size': ('load_history', lambda: model_file(history=npy(
        b'\0' * 80, "'<f8'", '(%d, 5)' % 2 ** 40))),
}

CHILD = """
import resource, sys
import numpy
from lstm_support import storage
from lstm_support.storage import memory
memory.BOUND = 128 * 2 ** 20
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    storage.%s(sys.argv[1])
except ValueError as error:
    print(error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize('kind', BOMBS)
def test_no_file_takes_more_memory_than_the_bound(tmp_path, kind):
    reader, content = BOMBS[kind]
    path = tmp_path / 'x'
    path.write_bytes(content())
    code, out, error = run_python('-c', CHILD % reader, str(path))
    assert code == 0, error
    lines = out.splitlines()
    assert int(lines.pop()) < 1.1 * 128 * 1024
    assert len(lines) == 1 and str(path) in lines[0], lines
    if kind == 'gzip':
        assert 'more than 128 MB' in lines[0] and 'BOUND' in lines[0]


def limit_of_memory():
    return resource.getrlimit(resource.RLIMIT_AS)[0]


def test_the_limit_holds_while_anybody_reads():
    before, seen = limit_of_memory(), []
    first, second = threading.Event(), threading.Event()

    def read():
        with storage.bounded_memory('x'):
            first.set()
            second.wait()
        seen.append(limit_of_memory())

    thread = threading.Thread(target=read)
    thread.start()
    first.wait()
    with pytest.raises(ValueError, match='^y takes'):
        with storage.bounded_memory('x'):
            low = limit_of_memory()
            with storage.bounded_memory('y'):
                assert limit_of_memory() == low != before
                numpy.zeros(8192 * MB, 'uint8')
    assert limit_of_memory() == low  # the thread still reads
    second.set()
    thread.join()
    assert limit_of_memory() == before and seen == [before]


def test_a_limit_that_is_lower_already_stays():
    before = resource.getrlimit(resource.RLIMIT_AS)
    with storage.bounded_memory('x'):
        low = limit_of_memory() - 9 * MB
    resource.setrlimit(resource.RLIMIT_AS, (low, before[1]))
    try:
        with storage.bounded_memory('x'):
            assert limit_of_memory() == low
        assert limit_of_memory() == low
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


# ---- Pickles ----------------------------------------------------------------

class Malicious(object):
    """Its pickle makes a folder when it is loaded."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
def test_malicious_pickles_are_refused_and_named(tmp_path, protocol):
    harm = Malicious(tmp_path / 'harm')
    pickle.loads(pickle.dumps(harm, protocol))
    os.rmdir(str(tmp_path / 'harm'))  # the attack works on pickle.loads
    for objects in ((harm, TEST), (([[harm]], [0]), TEST), (TRAIN, harm),
                    (TRAIN, TEST, harm), (TRAIN, TEST, {'words': harm}),
                    ({'a': harm},), ({'a': 2}, harm)):
        data = b''.join(pickle.dumps(part, protocol) for part in objects)
        for load in (load_data, load_dictionary):
            refused(load, tmp_path / 'x', data, r'(posix|nt)\.mkdir')
        assert os.listdir(str(tmp_path)) == ['x']


@pytest.mark.parametrize('data, words', [
    (b'', ''), (b'garbage', ''), (b'Fx\n.', ''), (b'\xff.', ''),
    # Opcodes that name or call something.
    (b'c__builtin__\neval\n(S"1"\ntR.', r'__builtin__\.eval'),
    (b'\x80\x04\x8c\x05numpy\x8c\x0dndarray.dumps\x93.', 'tolist'),
    (b'c_codecs\nencode\n(N}S"__call__"\nK\x01stb.', r'_codecs\.encode'),
    (b'(ios\nsystem\n.', r'os\.system'),
    (b'\x82\x01.', ''), (b'\x83\x01\x00.', ''),
    (b'\x84\x01\x00\x00\x00.', ''), (b'P1\n.', ''), (b'K\x01Q.', ''),
    # Sizes beyond the file's end, and places of what was never kept.
    (b'X\xff\xff\xff\xff.', ''), (b'T\xff\xff\xff\x7f.', ''),
    (b'\x80\x05\x96' + b'\xff' * 7 + b'\x3f.', ''), (b'h\x07.', ''),
    (b']r\xff\xff\xff\xff.', ''), (b'\x8b\xff\xff\xff\x7f1.', ''),
    (b'I' + b'9' * 5000 + b'\n.', ''),
    # Depth.
    (b']' * 10 ** 6 + b'a' * (10 ** 6 - 1) + b'.', 'not a pair'),
    (b')' + b'\x85' * 10 ** 6 + b'.', 'not a pair'),
    (b'})' + b'\x85' * 10 ** 6 + b'K\x01s.', ''),
], ids=lambda value: repr(value)[:30])
def test_hostile_data(tmp_path, data, words):
    refused(load_data, tmp_path / 'x', data + pickle.dumps(TEST, 2), words)


@pytest.mark.parametrize('value', [
    {1: 1}, {b'\xff': 1}, {'a': -1}, {'a': 2 ** 40}, {'a': 1.5}, {'a': 'b'},
    {'a': None}, {(): 1}], ids=repr)
def test_hostile_dictionaries(tmp_path, value):
    for data in ([value], [WORDS, value], [WORDS, {}, {'tokenizer': 1}],
                 [WORDS, 7]):
        refused(load_dictionary, tmp_path / 'x',
                b''.join(pickle.dumps(each, 2) for each in data))


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_are_refused_with_a_remedy(tmp_path, protocol):
    for labels in numpy.array([1, 0, 1]), list(numpy.array([1, 0, 1])):
        refused(load_data, tmp_path / 'x', pickle.dumps(
            (TRAIN[0], labels), protocol) + pickle.dumps(TEST, 2),
            'arrays of NumPy.*tolist')


@pytest.mark.parametrize('changes', [
    {'valid': 7}, {'valid': ([[2]], [0, 1])}, {'valid': ([[2, -1]], [0])},
    {'words': 7}, {'words': 'ab'}, {'words': [1]}, {'words': [b'\xff']},
    {'classes': 'ab'}, {'classes': [['a']]}, {'tokenizer': 7},
    {'groups': 7}, {'groups': [0]}, {'groups': [0, 1, -1]},
    {'groups': [0, 1, 1.5]}, {'groups': [0, 1, 2 ** 31]}, {7: 7},
    {b'\xff': 7}], ids=repr)
def test_hostile_ends_of_data_files(tmp_path, changes):
    about = {**ABOUT, **changes}
    refused(load_data, tmp_path / 'x', data_file(about))
    if 'words' not in changes:  # of version 1.1
        refused(load_data, tmp_path / 'x', data_file(
            about.pop('valid'), list(about.items())))
    for pickles in [7], [[7]]:
        refused(load_data, tmp_path / 'x', data_file(([], []), *pickles))


# ---- Models -----------------------------------------------------------------

@pytest.mark.parametrize('data, words', [
    (model_file(b=numpy.array([None, 1])), 'Object arrays'),
    (model_file(b=pickle.dumps(TEST)), 'not a .npz file of plain arrays'),
    (model_file(b=npy(b'x' * 16, "'|O'")), 'Object arrays'),
    (model_file(b=npy(b'x' * 8, "[('a', '<f4')]")), 'not finite'),
    (model_file(b=npy(b'x' * 8, shape='(10000000000,)')), '256 MB'),
    (model_file(b=npy(b'x' * 8, shape='(-2,)')), 'plain arrays'),
    (model_file(b=npy(b'x' * 8, shape='(2L, 0x7fffffffffffffff)')), ''),
    (model_file(b=npy(b'x' * 8, shape='(%d, 16)' % 2 ** 60)), ''),
    (model_file(b=npy(b'x' * 7)), 'plain arrays'),
    (model_file(b=npy(b'x' * 9)), 'longer than it declares'),
    (model_file(b=npy(b'', b'(' * 60000)), 'header of an unknown kind'),
    (model_file(b=npy(b'', b'-' * 500 + b'1\n')), 'plain arrays'),
    (model_file(b=npy(b'x' * 8, version=b'\x02\x00')), 'unknown kind'),
    (model_file(b=npy(b'\0' * 16, "'<c8'")), 'not finite'),
    (model_file(b=numpy.array([0, numpy.nan])), 'not finite'),
    pytest.param(model_file(b=numpy.array([0, 1e300])), 'not finite',
                 marks=pytest.mark.skipif(
                     lstm.numpy_floatX(0.).dtype == 'float64',
                     reason='float64 holds it')),
    (model_file(Wemb=numpy.zeros((12, 4))), r'shape \(12, 4\)'),
    (model_file(lstm_U=None), 'lacks lstm_U'),
    (npy(b'x' * 8), 'is not a .npz file'),
    (b'PK\x05\x06' + b'\xff' * 18, 'not a .npz file'),
])
def test_hostile_models(tmp_path, data, words):
    refused(load_params, tmp_path / 'x.npz', data, words)


def test_arrays_in_any_order_and_precision_load(tmp_path):
    (tmp_path / 'x.npz').write_bytes(model_file(
        lstm_U=numpy.asfortranarray(PARAMS['lstm_U'].astype('>f8')),
        Wemb=numpy.arange(36).reshape(12, 3)))
    for dtype in 'float32', 'float64':
        loaded = lstm.load_params(str(tmp_path / 'x.npz'), {
            name: value.astype(dtype) for name, value in PARAMS.items()})
        assert all(value.dtype == dtype for value in loaded.values())
        numpy.testing.assert_allclose(loaded['lstm_U'], PARAMS['lstm_U'],
                                      1e-6)
        assert (loaded['Wemb'] == numpy.arange(36).reshape(12, 3)).all()


@pytest.mark.parametrize('load, data, words', [
    (lstm.load_words, model_file(words=numpy.array([255, 1], 'uint8')),
     'not UTF-8'),
    (lstm.load_words, model_file(words=numpy.zeros((2, 2), 'uint8')),
     'no text in words'),
    (lstm.load_words, model_file(words=numpy.zeros(2)), 'no text in words'),
    (lstm.load_history, model_file(history=numpy.zeros((2, 4))), 'no history'),
    (lstm.load_history, model_file(), 'lacks history'),
    (lstm.load_options, model_file(options=numpy.array(u'{')), 'be read'),
    (lstm.load_options, model_file(options=numpy.array(u'[1]')), 'be read'),
    (lstm.load_options, model_file(options=numpy.array(7)), 'be read'),
    (lstm.load_options, model_file(), 'lacks options'),
], ids=lambda value: repr(value)[:20])
def test_hostile_words_history_and_options(tmp_path, load, data, words):
    refused(load, tmp_path / 'x.npz', data, words)


def test_the_checksum_of_an_array_counts(tmp_path):
    data, one = model_file(history=numpy.ones((1, 5))), struct.pack('<d', 1)
    (tmp_path / 'x.npz').write_bytes(data)
    assert lstm.load_history(str(tmp_path / 'x.npz')).shape == (1, 5)
    refused(lstm.load_history, tmp_path / 'x.npz',
            data.replace(one, struct.pack('<d', 0), 1), 'CRC')
