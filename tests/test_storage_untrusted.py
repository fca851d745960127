"""Untrusted files: data, dictionaries, models, archives, tables, vectors.

Reading one ends in valid data or in one clear error. Nothing in it runs, and
little memory is used.
"""
import csv
import gzip
import io
import json
import os
import pickle
import struct
import tarfile
import tempfile
import tracemalloc
import zipfile

import numpy
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

import classify
import imdb
import lstm
from lstm_support import corpora
from lstm_support.storage import files
from lstm_support.training import state as checkpoint, vectors

TRAIN = ([[2, 300, 70000], [4], []], [1, 0, 1])
TEST = ([[7, 8]], [0])
WORDS = {'a': 2, 'word': 300, u'caf\xe9': 70000}
OPTIONS = {'n_words': 12, 'dim_proj': 3, 'ydim': 2}
MB = 2 ** 20


def examples(n):
    # A test function's folder is the same for all examples, and that is fine.
    return settings(max_examples=n, deadline=None, suppress_health_check=[
        HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def data_file(protocol=2):
    return pickle.dumps(TRAIN, protocol) + pickle.dumps(TEST, protocol)


def model_file(**changes):
    f = io.BytesIO()
    arrays = dict(lstm.init_params(OPTIONS), **changes)
    numpy.savez(f, **{name: value for name, value in arrays.items()
                      if value is not None})
    return f.getvalue()


def archive_file(members=()):
    """A small archive, with more members: (TarInfo, bytes)."""
    f = io.BytesIO()
    with tarfile.open(fileobj=f, mode='w') as archive:
        for name, text in (('d/train/pos/1.txt', b'Good.'),
                           ('d/train/neg/1.txt', b'Bad.'),
                           ('d/test/neg/1.txt', b'Dull.'),
                           ('d/test/pos/1.txt', b'Fine.')):
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))
        for member, text in members:
            member.size = len(text) if text is not None else member.size
            archive.addfile(member, io.BytesIO(text or b''))
    return f.getvalue()


def zip_file(members=(), packed=zipfile.ZIP_DEFLATED):
    """A small zip archive, with more members: (name or ZipInfo, bytes)."""
    f = io.BytesIO()
    with zipfile.ZipFile(f, 'w', packed) as archive:
        for name, data in [('d/train/pos/1.txt', b'Good.'),
                           ('d/train/neg.txt', b'Bad.\nDull.'),
                           ('d/test/neg/1.txt', b'Dull.'),
                           ('d/test/pos/1.txt', b'Fine.')] + list(members):
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
    train, valid, test = imdb.load_data(path, valid_portion=0.34)
    assert len(train[0]) + len(valid[0]) == len(
        train[1]) + len(valid[1])
    for reviews, labels in (train, valid, test):
        for ids in reviews + [labels]:
            assert isinstance(ids, list)
            assert all(type(n) is int and n >= 0 for n in ids)


def load_dictionary(path):
    for word, n in imdb.load_dictionary(path).items():
        assert type(word) is str and type(n) is int
    classes = imdb.read_words(path).classes
    assert classes is None or all(type(name) is str for name in classes)


def load_model(path):
    """Load all that predicting, plotting and resuming take from a model."""
    words = lstm.load_words(path)
    assert words is None or all(type(word) is str for word in words)
    assert lstm.load_history(path).shape[1] == 5
    params, options = classify.load_model(path)
    assert len(options['classes']) == options['ydim']
    assert options['ydim'] == params['U'].shape[1]
    assert all(type(name) is str for name in options['classes'])


def load_params(path):
    params = lstm.load_params(path, lstm.init_params(OPTIONS))
    for name, value in lstm.init_params(OPTIONS).items():
        assert params[name].shape == value.shape
        assert params[name].dtype == value.dtype
        assert numpy.isfinite(params[name]).all()


def new_progress():
    return checkpoint.Progress(
        lstm.init_tparams(lstm.init_params(OPTIONS)), (),
        numpy.random.RandomState(1), lstm.EarlyStopping(10))


def load_progress(path):
    """Load a checkpoint; values in its arrays need not make sense."""
    progress = new_progress()
    progress.load(path, checkpoint.read_progress(path, {'seed': 1}))
    progress.rng.shuffle([1, 2, 3])


def progress_file():
    progress = new_progress()
    progress.update, progress.history = 2, [[2, 0.7, 0.5, 0.5, 0.5]]
    progress.stopping.best_err = 0.5
    progress.best_params = lstm.init_params(OPTIONS)
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
    vectors.load(path, table, {'good': 2, u'caf\xe9': 3, '&amp;': 70000})
    assert numpy.isfinite(table).all() and not table[:2].any()


LOADERS = {'data': (load_data, data_file()),
           'dictionary': (load_dictionary, pickle.dumps(WORDS, 2)
                          + pickle.dumps({'neg': 0, 'pos': 1}, 2)),
           'parameters': (load_params, model_file()),
           'model': (load_model, model_file(
               words=numpy.frombuffer(b'\n\nw', 'uint8'),
               history=numpy.zeros((1, 5)), options=numpy.array(
                   u'{"classes": ["neg", "pos"], "use_dropout": true}'))),
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


def refused(load, path, data, words='', peak=16 * MB):
    """Assert that loading ends in a clear error, with little memory."""
    path = str(path)
    with open(path, 'wb') as f:
        f.write(data)
    tracemalloc.start()
    try:
        with pytest.raises((ValueError, IOError), match=words) as caught:
            load(path)
        assert tracemalloc.get_traced_memory()[1] < peak + 20 * len(data)
    finally:
        tracemalloc.stop()
    assert path in str(caught.value) and '\n' not in str(caught.value)


# --------------------------------------------------------------------------
# Any bytes
# --------------------------------------------------------------------------

def attempt(load, path, data):
    """Loading works, or ends in an error that names the file."""
    with open(str(path), 'wb') as f:
        f.write(data)
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


# Made-up bytes rarely get beyond the first ones: the three kinds of .npz file
# and the kinds of archive would be the same test.
@pytest.mark.parametrize('kind', ['data', 'dictionary', 'model', 'archive',
                                  'csv', 'tsv', 'jsonl', 'json', 'vectors'])
@examples(100)
@given(data=some.binary(max_size=300))
def test_any_bytes(tmp_path, kind, data):
    attempt(LOADERS[kind][0], named(tmp_path, kind), data)


@pytest.mark.parametrize('kind', LOADERS)
@examples(500)
@given(data=some.data())
def test_damaged_files(tmp_path, kind, data):
    load, complete = LOADERS[kind]
    damaged = bytearray(complete)
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
    for n in range(0, len(complete), step):
        if kind == 'archive' and n >= 7 * 512:
            break  # only some of the zeros that end a tar are missing
        if complete[:n] == pickle.dumps(WORDS, 2):
            continue  # a dictionary of 2014, without names of classes
        if kind in ('csv', 'tsv', 'jsonl', 'vectors'):
            # It can end between two rows, or within the last number.
            attempt(load, named(tmp_path, kind), complete[:n])
            continue
        refused(load, named(tmp_path, kind), complete[:n])


@examples(300)
@given(data=some.tuples(*2 * [some.lists(
           some.lists(some.integers(0, 2 ** 31 - 1), max_size=8),
           min_size=1, max_size=8)]),
       protocol=some.integers(0, pickle.HIGHEST_PROTOCOL))
def test_whatever_pickle_writes_loads(tmp_path, data, protocol):
    """Every protocol, and NumPy's arrays: refusing them would be easy."""
    with open(str(tmp_path / 'd.pkl'), 'wb') as f:
        for reviews in data:
            pickle.dump((reviews, numpy.zeros(len(reviews), 'int64')), f,
                        protocol)
    train, valid, test = imdb.load_data(str(tmp_path / 'd.pkl'), 2 ** 31,
                                        sort_by_len=False)
    assert sorted(train[0] + valid[0]) == sorted(data[0])
    assert test == (data[1], [0] * len(data[1]))


def test_many_reviews_and_words_load(tmp_path):
    """References beyond 255 and 65,535 have opcodes of their own."""
    reviews = [[n, n] for n in range(70000)]
    words = dict(('w%d' % n, n) for n in range(70000))
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        path = str(tmp_path / 'x.pkl')
        with open(path, 'wb') as f:
            pickle.dump((reviews, [1] * 70000), f, protocol)
            pickle.dump(TEST, f, protocol)
        train, valid, _ = imdb.load_data(path, 10 ** 6)
        assert sorted(train[0] + valid[0]) == reviews
        with open(path, 'wb') as f:
            pickle.dump(words, f, protocol)
        assert imdb.load_dictionary(path) == words


# --------------------------------------------------------------------------
# Pickles
# --------------------------------------------------------------------------

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
    for objects in ((harm, TEST), (([[harm]], [0]), TEST), (TRAIN, harm)):
        data = b''.join(pickle.dumps(part, protocol) for part in objects)
        refused(load_data, tmp_path / 'x', data, r'(posix|nt)\.mkdir')
        refused(load_dictionary, tmp_path / 'x', data)
        assert os.listdir(str(tmp_path)) == ['x']


@pytest.mark.parametrize('data, words', [
    (b'', 'cannot be loaded'),
    (b'garbage', 'cannot be loaded'),
    (b'Fx\n.', 'cannot be loaded: could not convert'),  # on one line
    # Opcodes that name or call something, or that honest files never need.
    (b'cbuiltins\neval\n(S"1"\ntR.', r'builtins\.eval'),
    (b'c__builtin__\ngetattr\n.', r'__builtin__\.getattr'),
    (b'c__builtin__\nbytes\n(I99999999999\ntR.', 'cannot be loaded'),
    (b'cnumpy\nload\n.', r'numpy\.load'),
    (b'\x80\x02cos\nsystem\n.', r'os\.system'),
    (b'\x80\x04\x8c\x02os\x8c\x06system\x93.', r'os\.system'),
    (b'\x80\x04\x8c\x05numpy\x8c\x0dndarray.dumps\x93.', 'ndarray.dumps'),
    (b'(ios\nsystem\n.', 'opcode INST'),
    (b'(cnumpy\nndarray\no.', 'opcode OBJ'),
    (b'cnumpy\nndarray\n)\x81.', 'opcode NEWOBJ'),
    (b'\x80\x04cnumpy\nndarray\n)}\x92.', 'opcode'),
    (b'\x82\x01.', 'opcode EXT1'), (b'\x83\x01\x00.', 'opcode EXT2'),
    (b'\x84\x01\x00\x00\x00.', 'opcode EXT4'), (b'P1\n.', 'opcode PERSID'),
    (b'K\x01Q.', 'opcode BINPERSID'), (b'K\x012.', 'opcode DUP'),
    (b'K\x010.', 'opcode POP'), (b'(1.', 'opcode POP_MARK'),
    (b'\x8f.', 'opcode EMPTY_SET'), (b'\x97.', 'opcode NEXT_BUFFER'),
    (b'\xff.', 'opcode'),
    # Sizes beyond the file's end, and numbers of what was never kept.
    (b'X\xff\xff\xff\xff.', '4294967295 bytes, more than there are'),
    (b'T\xff\xff\xff\x7f.', 'more than there are'),
    (b'T\xff\xff\xff\xff.', 'more than there are'),
    (b'B\xff\xff\xff\xff.', 'more than there are'),
    (b'\x80\x04\x8d' + b'\xff' * 7 + b'\x3f.', 'more than there are'),
    (b'\x80\x04\x8e' + b'\xff' * 7 + b'\x3f.', 'more than there are'),
    (b'\x80\x05\x96' + b'\xff' * 7 + b'\x3f.', 'more than there are'),
    (b'\x80\x04\x95' + b'\xff' * 7 + b'\x3f.', 'more than there are'),
    (b'\x8b\xff\xff\xff\x7f1.', 'opcode LONG4'),
    (b']r\xff\xff\xff\xff.', 'it has an impossible memo index'),
    (b']p4294967295\n.', 'it has an impossible memo index'),
    (b'I' + b'9' * 5000 + b'\n.', 'opcode INT'),
    (b'V' + b'9' * (2 * MB) + b'\n.', 'line without an end'),
    # Depth, and parts without end.
    (b']' * 10 ** 5 + b'a' * (10 ** 5 - 1) + b'.', 'not a pair'),
    (b')' + b'\x85' * (10 ** 5 - 1) + b'.', 'not a pair'),
    (b'(' * (10 ** 5 + 1), 'more than 100000 parts'),
], ids=lambda value: repr(value)[:30])
def test_hostile_data(tmp_path, monkeypatch, data, words):
    monkeypatch.setattr(files, 'MAX_OBJECTS', 10 ** 5)
    refused(load_data, tmp_path / 'x', data + pickle.dumps(TEST, 2), words)


@pytest.mark.parametrize('data, words', [
    (b'\x80\x02cos\nsystem\n.', r'os\.system'),
    (b'cnumpy\nndarray\n.', r'numpy\.ndarray'),
    # As a key, a deep tuple would be hashed recursively.
    (b'})' + b'\x85' * 10 ** 5 + b'K\x01s.', 'opcode EMPTY_TUPLE'),
    (b'}(]]K\x01u.', 'opcode EMPTY_LIST'),
    (b'}C\x02\xff\xffK\x01s.', 'not UTF-8'),
    (b'}K\x01K\x01s.', 'holds 1, which is not text'),
    (b'}C\x01aN.', 'no dictionary'),
    (pickle.dumps({'a': True}, 2), 'not a word and its number'),
    (pickle.dumps({'a': -1}, 2), 'not a word and its number'),
    (pickle.dumps({'a': 2 ** 40}, 2), 'not a word and its number'),
    (pickle.dumps({'a': 1.5}, 2), 'not a word and its number'),
    (pickle.dumps({'a': 'b'}, 2), 'not a word and its number'),
], ids=lambda value: repr(value)[:30])
def test_hostile_dictionaries(tmp_path, data, words):
    refused(load_dictionary, tmp_path / 'x', data, words)


def test_a_review_referred_to_again_and_again(tmp_path):
    """50,000 references to a review of 10,000 words: 0.5 billion words."""
    review = b'](' + b'K\x05' * 10 ** 4 + b'eq\x01'
    data = (b'\x80\x02(' + b'](' + review + b'h\x01' * 50000 + b'e'
            + b'](' + b'K\x01' * 50001 + b'et.' + pickle.dumps(TEST, 2))
    refused(load_data, tmp_path / 'x', data, 'more words than the file')


ARRAY = b'cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nI0\ntR'
INT8 = b'cnumpy\ndtype\n(S"u1"\nI0\nI1\ntR(I3\nS"|"\nNNNI-1\nI-1\nI0\ntb'


# 10,000 arrays of the same bytes, copies of the same text, of the same list.
@pytest.mark.parametrize('keep, use, words', [
    (b'B\xa0\x86\x01\x00' + b'a' * 10 ** 5,
     ARRAY + b'(I1\n(I100000\ntg1\nI0\ng2\ntb', 'larger than the file'),
    (b'X\xa0\x86\x01\x00' + b'a' * 10 ** 5,
     b'c_codecs\nencode\n(g2\nVlatin1\ntR', 'larger than the file'),
    (b'(' + b'K\x00' * 10 ** 5 + b'l', b'cnumpy\nndarray\n(g2\ntR', ''),
], ids=['array', 'text', 'list'])
def test_parts_that_are_made_again_and_again(tmp_path, keep, use, words):
    data = (b'((' + INT8 + b'p1\n' + keep + b'p2\n' + use * 10 ** 4
            + b'l(lt.')
    refused(load_data, tmp_path / 'x', data + pickle.dumps(TEST, 2), words)


def test_arrays_of_other_kinds(tmp_path):
    for array, words in ((numpy.zeros(3), 'only integers'),
                         (numpy.array([object()]), r'__builtin__\.object'),
                         (numpy.array(['a']), 'only integers'),
                         (numpy.array([b'a']), 'only integers'),
                         (numpy.array([True]), 'only integers'),
                         (numpy.zeros((2, 2), int), 'than a plain list'),
                         # Some versions of NumPy pickle more of these two.
                         (numpy.zeros(1, 'M8[s]'),
                          'opcode EMPTY_DICT|only integers'),
                         (numpy.zeros(1, [('a', 'i4')]),
                          'opcode EMPTY_DICT|only integers')):
        refused(load_data, tmp_path / 'x', pickle.dumps(
            (TRAIN[0], array), 2) + pickle.dumps(TEST, 2), words)
    data = pickle.dumps((TRAIN[0], numpy.array([1, 0, 1], '<i8')), 2)
    refused(load_data, tmp_path / 'x', data.replace(b'<', b'O'), 'byte order')


@pytest.mark.parametrize('kind', ['data', 'dictionary'])
def test_gzip_bombs(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(files, 'MAX_BYTES', MB)
    load, complete = LOADERS[kind]
    (tmp_path / 'x').write_bytes(gzip.compress(complete))
    load(str(tmp_path / 'x'))
    bomb = gzip.compress(b'\0' * (100 * MB), 1)
    refused(load, tmp_path / 'x', bomb, 'raise MAX_BYTES in lstm_support/storage/files.py')


# --------------------------------------------------------------------------
# Archives
# --------------------------------------------------------------------------

def member(name, kind=tarfile.REGTYPE, size=0):
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info


@pytest.mark.parametrize('info, words', [
    (member('/etc/passwd'), '/etc/passwd is not inside'),
    (member('d/../../x'), 'not inside'),
    (member('..', tarfile.DIRTYPE), 'not inside'),
    (member('d/train/pos/2.txt', tarfile.SYMTYPE), 'is a link or a device'),
    (member('d/train/pos/2.txt', tarfile.LNKTYPE), 'is a link or a device'),
    (member('x', tarfile.CHRTYPE), 'is a link or a device'),
    (member('x', tarfile.BLKTYPE), 'is a link or a device'),
    (member('x', tarfile.FIFOTYPE), 'is a link or a device'),
])
def test_members_that_are_no_reviews(tmp_path, info, words):
    data = archive_file([(info, None)])
    refused(read_reviews, tmp_path / 'x', data, words)
    refused(read_reviews, tmp_path / 'x', gzip.compress(data), words)


def test_a_sparse_member(tmp_path):
    """512 bytes that claim to be 8 GB of zeros."""
    header = bytearray(member('d/train/pos/2.txt', tarfile.GNUTYPE_SPARSE)
                       .tobuf(tarfile.GNU_FORMAT))
    header[386:398] = header[398:410] = b'%011o\0' % 0  # a piece of nothing
    header[483:495] = b'%011o\0' % (8 * 2 ** 30 - 1)
    header[148:156] = b' ' * 8
    header[148:156] = b'%06o\0 ' % sum(header)
    refused(read_reviews, tmp_path / 'x',
            bytes(header) + archive_file(), 'link or a device')


@pytest.mark.parametrize('kind', [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_as_large_as_the_memory(tmp_path, kind):
    header = member('x', kind, 100 * MB).tobuf()
    for start, words in ((archive_file()[:6 * 512], 'declares an entry of'),
                         (b'', 'neither a folder nor a tar or zip')):
        bomb = start + header + b'1' * (100 * MB)
        refused(read_reviews, tmp_path / 'x', gzip.compress(bomb, 1), words)
        refused(read_reviews, tmp_path / 'x', start + header + archive_file(),
                words)


def test_archives_that_are_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(files, 'MAX_BYTES', MB)
    for name, n, words in (('d/train/pos/2.txt', 2 * MB, 'raise MAX_BYTES'),
                           ('other', 17 * MB, 'lies beyond')):
        data = archive_file([(member(name), b'a' * n)])
        refused(read_reviews, tmp_path / 'x', gzip.compress(data, 1), words)
    many = archive_file([(member('d/train/pos/%d.txt' % n), b'a' * 600000)
                         for n in range(2, 4)])
    refused(read_reviews, tmp_path / 'x', gzip.compress(many, 1),
            'of reviews; raise MAX_BYTES')


def test_many_members_take_no_memory(tmp_path):
    entry = member('d/other').tobuf()
    (tmp_path / 'x').write_bytes(
        gzip.compress(entry * 20000 + archive_file(), 1))
    tracemalloc.start()
    try:
        read_reviews(str(tmp_path / 'x'))
        assert tracemalloc.get_traced_memory()[1] < 4 * MB
    finally:
        tracemalloc.stop()


def zip_member(name, mode=0o100644):
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


@pytest.mark.parametrize('info, words', [
    (zip_member('/etc/passwd'), '/etc/passwd is not inside'),
    (zip_member('d/../../x'), 'not inside'),
    (zip_member('../x/'), 'not inside'),
    (zip_member('d/train/pos/2.txt', 0o120777), 'is a link, not a regular'),
    (zip_member('d/train/pos/1.txt'), 'appears twice; do not trust'),
    (zip_member('../a\n\x1b[31m' + 'b' * 300), r'\.\./a \[31mb{91}\.\.\. is'),
])
@pytest.mark.filterwarnings('ignore:Duplicate name')
def test_zip_members_that_are_no_reviews(tmp_path, info, words):
    refused(read_reviews, tmp_path / 'x', zip_file([(info, b'target')]),
            words)


def test_a_zip_archive_that_is_encrypted_or_damaged(tmp_path):
    data = zip_file(packed=zipfile.ZIP_STORED)
    encrypted = bytearray(data)
    for signature, place in ((b'PK\x03\x04', 6), (b'PK\x01\x02', 8)):
        encrypted[data.index(signature) + place] |= 1
    refused(read_reviews, tmp_path / 'x', bytes(encrypted),
            'd/train/pos/1.txt is encrypted; unpack it first')
    refused(read_reviews, tmp_path / 'x', data.replace(b'Good.', b'Food.', 1),
            'Bad CRC-32')
    end = data.index(b'PK\x05\x06')
    for damaged, words in (
            (data[:end], 'File is not a zip file'),
            # The first thing that fuzzing this loader found.
            (data[:end] + b'PK\x06\x07' + b'a' * 16 + data[end:],
             'span multiple disks'),
            (b'PK', 'File is not a zip file')):
        refused(read_reviews, tmp_path / 'x', damaged, words)


def test_a_tar_archive_that_holds_a_zip_archive_last(tmp_path):
    data = archive_file([(member('d/more.zip'), zip_file())])
    (tmp_path / 'x').write_bytes(data)
    assert len(imdb.read_reviews(str(tmp_path / 'x'))) == 4


def test_zip_bombs(tmp_path, monkeypatch):
    monkeypatch.setattr(files, 'MAX_BYTES', MB)
    for members, words in (
            ([('d/train/pos/2.txt', b'a' * (100 * MB))], 'raise MAX_BYTES'),
            ([('d/train/pos/%d.txt' % n, b'a' * 600000) for n in (2, 3)],
             'of reviews; raise MAX_BYTES')):
        refused(read_reviews, tmp_path / 'x', zip_file(members), words)
    # A size that the directory only claims, smaller than the data.
    bomb = bytearray(zip_file([('d/train/pos/2.txt', b'a' * (20 * MB))]))
    at = bomb.rindex(b'PK\x01\x02') + 24
    bomb[at:at + 4] = struct.pack('<I', 5)
    refused(read_reviews, tmp_path / 'x', bytes(bomb), 'cannot be read')
    # Members that are not reviews are not even unpacked.
    (tmp_path / 'x').write_bytes(zip_file([('d/x.bin', b'a' * (100 * MB))]))
    assert len(imdb.read_reviews(str(tmp_path / 'x'))) == 5


# --------------------------------------------------------------------------
# Tables, vectors
# --------------------------------------------------------------------------

@pytest.mark.parametrize('kind, data, words', [
    ('csv', b'text,label\n"' + b'a' * MB, 'line 2 is damaged: unexpected end'),
    ('csv', b'"text\nlabel",b,c\n', 'has the columns text label, b, c; name'),
    ('csv', b'a,' * 10 ** 5, r'has the columns a, a, (a, )*'),
    ('csv', b'text,label\nx,' + b'y' * MB + b'\n',
     r'the label has 1048576 characters, y{40}\.\.\.; name the column'),
    ('csv', b'text,label\n' + b''.join(b'x,y%d\n' % n for n in range(30)),
     'column of labels has 30 different values in 30 rows'),
    ('csv', b'a\0b\0', 'not UTF-8 text but UTF-16, it seems'),
    ('tsv', b'text\tlabel\nx\n', 'it has 1 fields, and the first row has 2'),
    ('jsonl', b'[' * 10 ** 5, 'line 1 is not JSON'),
    ('json', b'[' * 10 ** 5 + b']' * 10 ** 5, 'line 1 is not JSON'),
    ('json', b'[' + b'{"a":' * 10 ** 5, 'line 1 is not JSON'),
    ('jsonl', b'{"text": "a", "label": ' + b'9' * 10 ** 6 + b'}',
     '1: inf'),
    ('jsonl', b'{"text": {"a": ["b"]}, "label": 1}', 'a string, not dict'),
    ('jsonl', b'{"text": "a", "label": ["b", "c"]}', 'or a number, not list'),
    ('jsonl', b'{"text": "\\ud800", "label": "\\ud800"}', 'no row with a'),
    ('csv', b'text,label\n\n', 'no row with a text and a label'),
    ('json', b'[]', 'is empty'), ('json', b'7', 'not JSON'),
    ('csv.gz', gzip.compress(b'text,label\na,b')[:-3], 'cannot be read: '),
], ids=lambda value: repr(value)[:30])
def test_hostile_tables(tmp_path, kind, data, words):
    def load(path):
        imdb.read_reviews(path, test_portion=0.5)
    refused(load, named(tmp_path, kind), data, words)


def test_tables_that_are_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(files, 'MAX_BYTES', MB)
    row = b'{"text": "%s", "label": "b"}\n'
    for kind, data, words in (
            ('csv', b'text,label\n' + b'a,b\n' * MB, 'raise MAX_BYTES'),
            ('csv.gz', gzip.compress(b'a' * (100 * MB)), 'raise MAX_BYTES'),
            ('jsonl', row % (b'a' * (MB // 2)), 'has more than 131072')):
        refused(read_reviews, named(tmp_path, kind), data, words)


@pytest.mark.parametrize('data, words', [
    (b'', 'has a vector for none of the words'),
    (b'good 1 2\n', 'line 1 of .* has 2 numbers, and dim_proj is 3'),
    (b'x 1 2\ngood 1 2 x\n', 'line 2 of .* is not a word and its numbers'),
    (b'good 1 2 nan\n', 'line 1 of .* is not a word'),
    (b'good 1 2 1e999\n', 'line 1 of .* is not a word'),
    (b'good\n', 'line 1 of .* is not a word'),
    (b'\xff 1 2 3\n', 'line 1 of .* is not UTF-8 text; the binary form'),
    (b'good ' + b'1 ' * MB, 'line 1 of .* is not a word'),
    (b'good ' + b'9' * 50000 + b' 1 1\n', 'line 1 of .* is not a word'),
    (gzip.compress(b'good 1 2 3\n')[:-3], 'cannot be read to its end'),
    (gzip.compress(b'a' * (100 * MB)), 'line 1 of .* is not a word'),
], ids=lambda value: repr(value)[:30])
def test_hostile_vectors(tmp_path, data, words):
    refused(load_vectors, tmp_path / 'x', data, words)


@pytest.mark.parametrize('third, fourth, words', [
    (7, [], 'validation part is not a pair'),
    (([[2]], [0, 1]), [], '1 validation reviews but 2 labels'),
    (([[2, -1]], [0]), [], 'validation review 0 holds the negative number'),
    (([], []), 7, 'its description is not a list of pairs'),
    (([], []), [7], 'its description is not a list of pairs'),
    (([], []), [[u'tokenizer', 7]], 'holds 7, which is not text'),
    (([], []), [[b'\xff', 7]], 'holds a word that is not UTF-8'),
    (([], []), [[[u'x'], 7]], 'which is not text'),
    (([], []), [[u'classes', u'ab']], 'names of classes are not a list'),
    (([], []), [[u'classes', [1]]], 'holds 1, which is not text'),
    (([], []), {u'classes': []}, 'opcode EMPTY_DICT'),
    (([], []), [[u'classes', [u'a', u'b']], [u'fingerprint', []]], 'not text'),
], ids=lambda value: repr(value)[:30])
def test_hostile_ends_of_data_files(tmp_path, third, fourth, words):
    refused(load_data, tmp_path / 'x', data_file() + pickle.dumps(
        third, 2) + pickle.dumps(fourth, 2), words)


def test_a_description_that_is_huge_or_malicious(tmp_path):
    end = pickle.dumps(([], []), 2)
    refused(load_data, tmp_path / 'x', data_file() + end + pickle.dumps(
        Malicious(tmp_path / 'harm'), 2), r'(posix|nt)\.mkdir')
    # A name of a megabyte, a million times.
    name = b'X\x00\x00\x10\x00' + b'a' * MB + b'q\x01'
    refused(load_data, tmp_path / 'x', data_file() + end + (
        b'\x80\x02](](' + name + b'K\x01e](h\x01' + b'h\x01' * MB + b'ee.'),
        'its description is not a list of pairs')
    assert os.listdir(str(tmp_path)) == ['x']


# --------------------------------------------------------------------------
# Models
# --------------------------------------------------------------------------

def npy(header, data=b'', version=b'\x01\x00'):
    size = struct.pack('<H' if version == b'\x01\x00' else '<I', len(header))
    return b'\x93NUMPY' + version + size + header + data


def zipped(members):
    f = io.BytesIO()
    with zipfile.ZipFile(f, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return f.getvalue()


def with_b(data):
    """A model whose `b` is this member."""
    with zipfile.ZipFile(io.BytesIO(model_file(b=None))) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    return zipped(dict(members, **{'b.npy': data}))


HEADER = "{'descr': %s, 'fortran_order': False, 'shape': %s, }"


def header(descr="'<f4'", shape='(2,)'):
    return (HEADER % (descr, shape)).encode() + b'\n'


@pytest.mark.parametrize('data, words', [
    (model_file(b=numpy.array([None, 1])), 'which could run code'),
    (with_b(pickle.dumps(TEST)), 'not a .npz file of plain arrays'),
    (with_b(npy(header("'|O'"), b'x' * 16)), 'which could run code'),
    (with_b(npy(header("[('a', '<f4')]"), b'x' * 8)), 'could run code'),
    (with_b(npy(header("'V8'"), b'x' * 16)), 'could run code'),
    (with_b(npy(header(shape='(10000000000,)'), b'x' * 8)),
     r'b of shape \(10000000000,\)'),
    (with_b(npy(header(shape='(-2,)'), b'x' * 8)), 'shape'),
    (with_b(npy(header(shape='(2L, 0x7fffffffffffffff)'), b'x' * 8)), ''),
    (with_b(npy(header(), b'x' * 7)), 'not of the declared size'),
    (with_b(npy(header(), b'x' * 9)), 'not of the declared size'),
    (with_b(npy(header(), b'\0' * (100 * MB))), 'not of the declared size'),
    (with_b(npy(b'(' * 60000)), 'header of an unknown kind'),
    (with_b(npy(b'(' * 900 + b'\n')), ''),
    (with_b(npy(b'-' * 900 + b'1\n')), ''),
    (with_b(npy(header(), b'x' * 8, b'\x02\x00')), 'unknown kind'),
    (with_b(npy(header("'<U2'"), b'\0' * 16)), 'not finite'),
    (with_b(npy(header("'<c8'"), b'\0' * 16)), 'not finite'),
    (with_b(npy(header("'<M8[s]'"), b'\0' * 16)), 'not finite'),
    (with_b(npy(header("'|b1'"), b'\0' * 2)), 'not finite'),
    (model_file(b=numpy.array([0, numpy.nan])), 'not finite'),
    (model_file(b=numpy.array([0, numpy.inf])), 'not finite'),
    (model_file(Wemb=numpy.zeros((12, 4))), r'shape \(12, 4\)'),
    (model_file(lstm_U=None), 'lacks the parameter lstm_U'),
    (zipped({'a': 'b'}), 'lacks the parameter'),
    (b'PK\x05\x06' + b'\xff' * 18, 'not a .npz file'),
])
def test_hostile_models(tmp_path, data, words):
    refused(load_params, tmp_path / 'x.npz', data, words)


def test_arrays_in_any_order_and_precision_load(tmp_path):
    params = lstm.init_params(OPTIONS)
    (tmp_path / 'x.npz').write_bytes(model_file(
        lstm_U=numpy.asfortranarray(params['lstm_U'].astype('>f8')),
        Wemb=numpy.arange(36).reshape(12, 3)))
    loaded = lstm.load_params(str(tmp_path / 'x.npz'), dict(params))
    assert (loaded['lstm_U'] == params['lstm_U']).all()
    assert (loaded['Wemb'] == numpy.arange(36).reshape(12, 3)).all()


@pytest.mark.skipif(lstm.numpy_floatX(0.).dtype == 'float64',
                    reason='float64 holds it')
def test_a_number_too_large_for_float32(tmp_path):
    refused(load_params, tmp_path / 'x.npz',
            model_file(b=numpy.array([0, 1e300])), 'not finite')


@pytest.mark.parametrize('name, shape, descr', [
    ('words', '(-2,)', "'|u1'"), ('words', '(-1, 1)', "'|u1'"),
    ('history', '(-1, 5)', "'<f8'")])
def test_a_negative_size_is_not_one_without_limit(tmp_path, name, shape,
                                                  descr):
    bomb = npy(header(descr, shape), b'\0' * (100 * MB))
    refused(lstm.load_words if name == 'words' else lstm.load_history,
            tmp_path / 'x.npz', zipped({name + '.npy': bomb}),
            'impossible shape')


@pytest.mark.parametrize('claim', [100 * MB, 2 ** 31])
def test_a_size_that_the_directory_only_claims(tmp_path, claim):
    """A zip archive says how long a member is, apart from its data."""
    shape = '(%d,)' % (claim - len(header("'|u1'")) - 20)
    data = npy(header("'|u1'", shape), b'\0' * 100)
    zip_file = bytearray(zipped({'words.npy': data}))
    for signature, place in ((b'PK\x03\x04', 22), (b'PK\x01\x02', 24)):
        at = zip_file.index(signature) + place
        zip_file[at:at + 4] = struct.pack('<I', len(data) - 100 + claim)
    refused(lstm.load_words, tmp_path / 'x.npz', bytes(zip_file))


def test_the_checksum_of_an_array_counts(tmp_path):
    f = io.BytesIO()
    numpy.savez(f, history=numpy.ones((1, 5)))
    data = f.getvalue()
    (tmp_path / 'x.npz').write_bytes(data)
    assert lstm.load_history(str(tmp_path / 'x.npz')).shape == (1, 5)
    one = struct.pack('<d', 1)
    refused(lstm.load_history, tmp_path / 'x.npz',
            data.replace(one, struct.pack('<d', 0), 1), 'CRC')


def test_shapes_are_read_without_arrays(tmp_path):
    path = str(tmp_path / 'x.npz')
    for data, words in ((npy(header("'<f8'", '(50000000,)'), b'x'), None),
                        (npy(b'(' * 60000), 'unknown kind'),
                        (npy(header("'|O'"), b'x' * 16), 'could run code')):
        with open(path, 'wb') as f:
            f.write(zipped({'a.npy': data}))
        with files.open_npz(path, 'model file') as archive:
            if words is None:
                assert files.member_shapes(archive) == {
                    'a': ((50000000,), 'float64')}
                continue
            with pytest.raises(ValueError, match=words):
                files.member_shapes(archive)


@pytest.mark.parametrize('data, words', [
    (numpy.array([255, 1], 'uint8'), 'in words that is not UTF-8'),
    (numpy.zeros((2, 2), 'uint8'), 'holds no text in words'),
    (numpy.zeros(2), 'holds no text in words'),
])
def test_hostile_words(tmp_path, data, words):
    refused(lstm.load_words, tmp_path / 'x.npz', model_file(words=data),
            words)


@pytest.mark.parametrize('text, words', [
    (u'{', 'cannot be read'), (u'[1]', 'cannot be read'),
    (u'x' * 300000, 'is not text'), (7, 'is not text'),
    (None, 'saved without its options'),
])
def test_hostile_options(tmp_path, text, words):
    refused(lstm.load_options, tmp_path / 'x.npz', model_file(
        options=None if text is None else numpy.array(text)), words)


@pytest.mark.parametrize('form', ['gz', 'bz2', 'xz'])
def test_damaged_compression(tmp_path, form):
    """Every library raises its own errors; one of LZMA once came through."""
    path = tmp_path / 'x'
    with tarfile.open(str(path), 'w:' + form) as archive:
        with tarfile.open(fileobj=io.BytesIO(archive_file())) as plain:
            for info in plain:
                archive.addfile(info, plain.extractfile(info))
    assert len(imdb.read_reviews(str(path))) == 4
    complete = path.read_bytes()
    for n in range(len(complete)):
        damaged = bytearray(complete)
        damaged[n] ^= 0x55
        attempt(read_reviews, path, bytes(damaged))
