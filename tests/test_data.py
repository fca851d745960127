"""imdb.py: text, preprocessing, loading, minibatches; support/files.py."""
import gzip
import os
import pickle
import signal
import subprocess
import sys
import tarfile
import time

import numpy
import pytest

import imdb
from conftest import ROOT, heed_signals
from support import files

REVIEWS = {
    'train/pos/0_9.txt': 'A fine, fine film.',
    'train/pos/1_8.txt': u'Caf\xe9 scenes shine; a film to love',
    'train/neg/0_2.txt': "It isn't a film I'd love.",
    'train/neg/1_1.txt': 'Dull.',
    'test/pos/0_10.txt': 'Fine unseen',
    'test/neg/0_1.txt': '',
    'train/unsup/0_0.txt': 'Nobody labelled this.',
    'train/urls_pos.txt': 'http://example.org/title',
}


@pytest.fixture
def corpus(tmp_path):
    """A folder in the layout of the distribution."""
    for name, text in REVIEWS.items():
        path = tmp_path / 'aclImdb' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding='utf-8')
    return tmp_path / 'aclImdb'


def write_tar(path, folder):
    with tarfile.open(str(path), 'w:gz') as archive:
        archive.add(str(folder), arcname=folder.name)
    return path


def write_pickles(path, *objects, **kwargs):
    """Write objects one after the other; bytes go in as they are."""
    with open(str(path), 'wb') as f:
        for value in objects:
            f.write(value if isinstance(value, bytes)
                    else pickle.dumps(value, kwargs.get('protocol', 2)))
    return str(path)


# --------------------------------------------------------------------------
# Text
# --------------------------------------------------------------------------

def test_tokenize_is_moses_in_lower_case():
    assert imdb.tokenize('Mr. Brown\'s "Film" isn\'t <br />bad & LONG...') == [
        'mr.', 'brown', '&apos;s', '&quot;', 'film', '&quot;', 'isn',
        '&apos;t', '&lt;', 'br', '/', '&gt;', 'bad', '&amp;', 'long', '...']
    assert imdb.tokenize('') == []
    assert imdb.tokenize(u'two\nlines\tCAF\xc9') == [
        'two', 'lines', u'caf\xe9']


def test_encode_numbers_words_and_marks_unknown_ones():
    assert imdb.encode('Good, not GREAT', {'good': 5, 'great': 2, ',': 3}) == [
        5, 3, 1, 2]
    assert imdb.encode('Good, great', {'good': 5, 'great': 2, ',': 3},
                       n_words=5) == [1, 3, 2]


# --------------------------------------------------------------------------
# Preprocessing
# --------------------------------------------------------------------------

def test_preprocess_ranks_words_by_training_frequency(corpus, tmp_path):
    path = str(tmp_path / 'out' / 'my.pkl')
    imdb.preprocess(str(corpus), path)
    dictionary = imdb.load_dictionary(str(tmp_path / 'out' / 'my.dict.pkl'))
    # The full stop, "a" and "film" occur three times, "fine" and "love"
    # twice; "unseen" is in no training review.
    assert dictionary['.'] == 2
    assert [w for w, n in sorted(dictionary.items(), key=lambda i: i[1])
            ][:5] == ['.', 'a', 'film', 'fine', 'love']
    assert sorted(dictionary.values()) == list(range(2, len(dictionary) + 2))
    assert 'unseen' not in dictionary and 'nobody' not in dictionary

    with open(path, 'rb') as f:
        (train_x, train_y), (test_x, test_y) = pickle.load(f), pickle.load(f)
    assert train_y == [0, 0, 1, 1] and test_y == [0, 1]
    assert train_x == [imdb.encode(REVIEWS[name], dictionary) for name in (
        'train/neg/0_2.txt', 'train/neg/1_1.txt',
        'train/pos/0_9.txt', 'train/pos/1_8.txt')]
    assert test_x == [[], [dictionary['fine'], imdb.UNKNOWN]]


def test_archive_folder_and_rerun_give_the_same_bytes(corpus, tmp_path):
    sources = [corpus, write_tar(tmp_path / 'a.tar.gz', corpus), corpus]
    written = []
    for n, source in enumerate(sources):
        path = tmp_path / ('%d.pkl' % n)
        imdb.preprocess(str(source), str(path))
        written.append((path.read_bytes(),
                        (tmp_path / ('%d.dict.pkl' % n)).read_bytes()))
    assert written[0] == written[1] == written[2]
    assert sorted(os.listdir(str(tmp_path))) == sorted(
        ['aclImdb', 'a.tar.gz'] + ['%d%s.pkl' % (n, kind) for n in range(3)
                                   for kind in ('', '.dict')])


def test_a_file_may_hold_one_review_per_line(tmp_path):
    for name, text in (('train/pos.txt', 'good\n\nfine\n'),
                       ('train/neg.txt', 'bad'),
                       ('test/neg.txt', u'sad\u2028\x0cto see\r\n')):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text.encode('utf-8'))
    assert imdb.read_reviews(str(tmp_path)) == [
        ('test', 'neg', u'sad\u2028\x0cto see'), ('train', 'neg', 'bad'),
        ('train', 'pos', 'good'), ('train', 'pos', 'fine')]


def test_an_existing_data_file_is_not_overwritten(corpus, tmp_path):
    path = tmp_path / 'my.pkl'
    path.write_bytes(b'precious')
    with pytest.raises(IOError, match='is there already'):
        imdb.preprocess(str(corpus), str(path))
    assert path.read_bytes() == b'precious'


def test_damaged_sources_are_named(corpus, tmp_path):
    complete = write_tar(tmp_path / 'a.tar.gz', corpus).read_bytes()
    (tmp_path / 'cut.tar.gz').write_bytes(complete[:len(complete) // 2])
    (tmp_path / 'text').write_text('hello')
    (corpus / 'train' / 'pos' / '2_9.txt').write_bytes(b'caf\xe9')
    for source, error, words in (
            ('cut.tar.gz', IOError, 'damaged or incomplete'),
            ('text', IOError, 'neither a folder nor a tar archive'),
            ('nowhere', IOError, 'does not exist'),
            ('aclImdb', ValueError, r'2_9\.txt is not UTF-8')):
        with pytest.raises(error, match=words):
            imdb.read_reviews(str(tmp_path / source))


def test_a_corpus_without_two_classes_is_refused(tmp_path):
    (tmp_path / 'train').mkdir()
    for words in ('two or more classes, and has none; put them',
                  'two or more classes, and has 1: pos; put them'):
        with pytest.raises(ValueError, match=words):
            imdb.read_reviews(str(tmp_path))
        (tmp_path / 'train' / 'pos.txt').write_text('good')
    (tmp_path / 'train' / 'neg.txt').write_text('bad')
    (tmp_path / 'test').mkdir()
    (tmp_path / 'test' / 'meh.txt').write_text('so so')
    with pytest.raises(ValueError, match="of class 'meh'"):
        imdb.read_reviews(str(tmp_path))


def test_processes_agree_with_one():
    reviews = imdb.read_reviews(os.path.join(ROOT, 'data', 'sample'))[:150]
    assert imdb.encode_reviews(reviews, 2) == imdb.encode_reviews(reviews)


def start(folder, *args):
    return subprocess.Popen(
        [sys.executable, '-u', os.path.join(ROOT, 'imdb.py')] + list(args),
        cwd=str(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        universal_newlines=True, preexec_fn=heed_signals)


def test_command_line(corpus, tmp_path):
    process = start(tmp_path, 'aclImdb')
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert '4 training and 2 test reviews' in out
    assert sorted(os.listdir(str(tmp_path / 'data'))) == [
        'imdb.dict.pkl', 'imdb.pkl']
    for args, words in ((['aclImdb'], 'is there already'),
                        (['nowhere', 'x.pkl'], 'nowhere does not exist'),
                        (['aclImdb', 'x.txt'], 'must be named *.pkl')):
        process = start(tmp_path, *args)
        _, err = process.communicate()
        assert process.returncode == 1
        assert err.startswith('imdb.py: ') and err.count('\n') == 1
        assert words in err


@pytest.mark.parametrize('seconds', [0.05, 1.])
def test_interrupted_by_ctrl_c(tmp_path, seconds):
    """It ends while its processes start, and while they work."""
    (tmp_path / 'train').mkdir()
    for label in 'neg', 'pos':
        (tmp_path / 'train' / (label + '.txt')).write_text(
            'It is not a film that I would see again, is it?\n' * 50000)
    process = start(tmp_path, '.')
    assert process.stdout.readline() == 'Reading .\n'
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    # Its processes hold the pipes, too: this waits until all have ended.
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == 'imdb.py: interrupted; data/imdb.pkl was not written\n'
    assert os.listdir(str(tmp_path)) == ['train']


def test_real_archive(real_data):
    (train_x, train_y), (test_x, test_y) = imdb.read_data(real_data)
    # The complete archive has 25,000 test reviews; a part of it has 12,500.
    assert len(train_x) == 25000 and len(test_x) in (12500, 25000)
    assert train_y.count(0) == train_y.count(1) == 12500
    assert test_y.count(0) == test_y.count(1) == len(test_x) // 2
    # What another implementation of Moses tokenization counts.
    assert sum(map(len, train_x)) == 7113749
    dictionary = imdb.load_dictionary(imdb.dictionary_path(real_data))
    assert len(dictionary) == 101744
    assert dictionary['the'] == 2
    train, valid, test = imdb.load_data(real_data, 10000, 0.05, maxlen=100)
    assert (len(train[0]), len(valid[0]), len(test[0])) == (
        2003, 105, len(test_x))


# --------------------------------------------------------------------------
# The sample
# --------------------------------------------------------------------------

def test_sample_is_what_its_description_says():
    reviews = imdb.read_reviews(os.path.join(ROOT, 'data', 'sample'))
    counts = {}
    for split, label, text in reviews:
        counts[split, label] = counts.get((split, label), 0) + 1
        assert 15 <= len(text.split()) <= 95, text
    assert len(reviews) >= 600
    assert counts['train', 'pos'] == counts['train', 'neg']
    assert counts['test', 'pos'] == counts['test', 'neg']
    n_train = counts['train', 'pos'] * 2
    assert abs(n_train / len(reviews) - 0.8) < 0.01

    texts = [text for _, _, text in reviews]
    assert len(set(texts)) == len(texts)
    # No two begin with the same four words. A phrase of six words is in two
    # reviews at most.
    openings, phrases = set(), {}
    for n, text in enumerate(texts):
        words = text.lower().replace('.', ' ').replace(',', ' ').split()
        opening = tuple(words[:4])
        assert opening not in openings, text
        openings.add(opening)
        for k in range(len(words) - 5):
            phrases.setdefault(tuple(words[k:k + 6]), set()).add(n)
    assert max(map(len, phrases.values())) <= 2


def test_sample_loads_like_a_data_file():
    train, valid, test = imdb.load_sample(n_words=1000, valid_portion=0.1)
    assert len(train[0]) + len(valid[0]) > 4 * len(test[0]) - 8
    assert max(map(max, train[0])) < 1000


# --------------------------------------------------------------------------
# Loading
# --------------------------------------------------------------------------

TRAIN = ([[n + 2] * (n + 1) for n in range(20)], [n % 2 for n in range(20)])
TEST = ([[2, 300, 4], [5]], [1, 0])


def load(path, **kwargs):
    return imdb.load_data(str(path), **dict(
        {'valid_portion': 0.25, 'sort_by_len': False}, **kwargs))


def as_sorted(*sets):
    return sorted(pair for x, y in sets for pair in zip(x, y))


def test_load_data_splits_and_cuts(tmp_path):
    path = write_pickles(tmp_path / 'd.pkl', TRAIN, TEST)
    train, valid, test = load(path)
    assert len(train[0]) == 15 and len(valid[0]) == 5
    assert as_sorted(train, valid) == as_sorted(TRAIN)
    assert test == TEST
    train, valid, test = load(path, n_words=10, maxlen=12)
    assert sorted(map(len, train[0] + valid[0])) == list(range(1, 12))
    assert set(sum(train[0] + valid[0], [])) == {1} | set(range(2, 10))
    assert test[0] == [[2, 1, 4], [5]]
    for part in load(path, sort_by_len=True):
        assert list(map(len, part[0])) == sorted(map(len, part[0]))


def test_split_depends_on_the_seed_alone(tmp_path):
    path = write_pickles(tmp_path / 'd.pkl', TRAIN, TEST)
    first = load(path, seed=1)
    numpy.random.rand()
    assert first == load(path, seed=1)
    assert first != load(path, seed=2)
    numpy.random.seed(0)
    expected = numpy.random.rand()
    numpy.random.seed(0)
    load(path)
    assert numpy.random.rand() == expected  # the global state is unchanged


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol_and_numpy_arrays_load(tmp_path, protocol):
    train = ([[]] + TRAIN[0], [0] + TRAIN[1])  # the array of no words, too
    plain = load(write_pickles(tmp_path / 'd.pkl', train, TEST))
    for dtype in ('int64', 'int32', '>i4', 'uint8'):
        def array(values):
            return numpy.array(values, 'int64').astype(dtype)
        arrays = ([array(review) for review in train[0]], array(train[1]))
        if dtype == 'uint8':
            arrays = (arrays[0], [numpy.int64(y) for y in train[1]])
        path = write_pickles(tmp_path / 'a.pkl', arrays, TEST,
                             protocol=protocol)
        assert load(path) == plain
        assert imdb.read_data(path)[0] == train
        assert all(type(ids) is list for ids in imdb.read_data(path)[0][0])


# Protocols 0 and 2, as Python 2.7's cPickle writes ([[2, 3], [4]], [1, 0]).
PYTHON2 = [
    b'((lp1\n(lp2\nI2\naI3\naa(lp3\nI4\naa(lp4\nI1\naI0\nat.',
    b'\x80\x02]q\x01(]q\x02(K\x02K\x03e]q\x03K\x04ae]q\x04(K\x01K\x00e'
    b'\x86q\x05.']
# numpy.array([1, 0]) by Python 2.7 and NumPy 1.16, protocol 2.
PYTHON2_ARRAY = (
    b'\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\n'
    b'q\x02K\x00\x85U\x01b\x87Rq\x03(K\x01K\x02\x85cnumpy\ndtype\nq\x04U\x02'
    b'i8K\x00K\x01\x87Rq\x05(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff'
    b'\xffK\x00tb\x89U\x10\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00'
    b'\x00\x00\x00\x00tb.')


def test_files_of_python_2_load(tmp_path):
    for data in PYTHON2:
        path = write_pickles(tmp_path / 'd.pkl', data, data)
        train, valid, test = load(path, valid_portion=0.)
        assert as_sorted(train) == [([2, 3], 1), ([4], 0)]
        assert test == ([[2, 3], [4]], [1, 0])
    # An array inside a pair: (list, array).
    pair = b'(]q\x06(]q\x07(K\x02K\x03e]q\x08K\x04ae' + (
        PYTHON2_ARRAY[2:-1]) + b't.'
    path = write_pickles(tmp_path / 'd.pkl', pair, pair)
    assert load(path)[2] == ([[2, 3], [4]], [1, 0])
    write_pickles(tmp_path / 'words.pkl', b'\x80\x02}q\x01U\x05caf\xc3\xa9'
                                          b'q\x02K\x02s.')
    assert imdb.load_dictionary(str(tmp_path / 'words.pkl')) == {
        u'caf\xe9': 2}


def test_files_are_found_here_in_data_and_gzipped(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(imdb, 'HERE', str(tmp_path / 'elsewhere'))
    assert imdb.find_file('imdb.pkl') is None
    for call in load, imdb.get_dataset_file, imdb.load_dictionary:
        with pytest.raises(IOError, match=r'download\.sh'):
            call('imdb.pkl')
    (tmp_path / 'data').mkdir()
    with gzip.open('data/imdb.pkl.gz', 'wb') as f:
        f.write(pickle.dumps(TRAIN, 2) + pickle.dumps(TEST, 2))
    expected = load('imdb.pkl')
    assert expected[2] == TEST
    assert imdb.get_dataset_file('imdb.pkl', 'imdb.pkl', 'http://x') == (
        imdb.find_file('imdb.pkl')) == os.path.join('data', 'imdb.pkl.gz')
    assert load('imdb.pkl.gz') == load('data/imdb.pkl.gz') == expected
    assert load(tmp_path / 'data' / 'imdb.pkl.gz') == expected
    write_pickles(tmp_path / 'imdb.pkl', TRAIN, ([[7]], [0]))
    assert load('imdb.pkl')[2] == ([[7]], [0])


@pytest.mark.parametrize('train, words', [
    (([[2]], [1, 0]), '1 training reviews but 2 labels'),
    (([[2], 5], [1, 0]), 'review 1 is not a list'),
    (([[2, 2.5]], [1]), 'review 0 holds something that is not an integer'),
    (([[2, None]], [1]), 'not an integer'),
    (([[2, True]], [1]), 'not an integer'),
    (([[2, -4]], [1]), 'negative number -4'),
    (([[2]], ['pos']), 'labels holds something that is not an integer'),
    (([[2]],), 'not a pair'),
    ({'x': 1}, 'opcode EMPTY_DICT, which has no place in a data set'),
    ([[[2]], [1], []], 'not a pair'),
    ((3, 4), 'not lists'),
])
def test_what_is_no_data_set_is_refused(tmp_path, train, words):
    path = write_pickles(tmp_path / 'd.pkl', train, TEST)
    with pytest.raises(ValueError, match=words):
        load(path)


def test_names_of_classes(tmp_path):
    path = tmp_path / 'x.dict.pkl'
    write_pickles(path, {'w': 2})
    assert imdb.load_classes(str(path)) is None
    write_pickles(path, {'w': 2}, {'a': 1, 'b': 0})
    assert imdb.load_classes(str(path)) == ['b', 'a']
    write_pickles(path, {'w': 2}, {'a': 7})
    with pytest.raises(ValueError, match='not numbered from 0'):
        imdb.load_classes(str(path))


def test_what_is_written_is_read(tmp_path):
    path = str(tmp_path / 'd.pkl')
    imdb.write_data(path, TRAIN, TEST)
    assert imdb.read_data(path) == (TRAIN, TEST)
    assert os.listdir(str(tmp_path)) == ['d.pkl']
    with pytest.raises(ValueError, match='no test part'):
        imdb.read_data(write_pickles(tmp_path / 'd.pkl', TRAIN))


def test_data_sets_by_name(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    sample = imdb.load_sample(n_words=50)
    assert imdb.load_dataset('sample', n_words=50) == sample
    assert imdb.dataset_words('sample') == imdb.encode_sample()[2:]
    assert capsys.readouterr().out == ''
    with monkeypatch.context() as patch:
        patch.setattr(imdb, 'find_file', lambda path: None)
        assert imdb.load_dataset('imdb', n_words=50) == sample
        assert 'There is no data/imdb.pkl' in capsys.readouterr().out
        assert imdb.data_path('imdb') is imdb.data_path('sample') is None
        assert imdb.dataset_words('imdb') == imdb.encode_sample()[2:]
    for name, file_name in (('imdb', 'imdb.pkl'), ('my.pkl', 'my.pkl')):
        imdb.write_data(file_name, TRAIN, TEST)
        assert imdb.data_path(name) == file_name
        assert imdb.load_dataset(name, seed=3) == imdb.load_data(
            file_name, seed=3)
    assert capsys.readouterr().out == ''
    assert imdb.dataset_words('my.pkl') == (None, None)
    write_pickles('my.dict.pkl', {'w': 2}, {'a': 0, 'b': 1})
    assert imdb.dataset_words('my.pkl') == ({'w': 2}, ['a', 'b'])
    with pytest.raises(IOError, match='nowhere.pkl is neither here'):
        imdb.load_dataset('nowhere.pkl')


# --------------------------------------------------------------------------
# Files
# --------------------------------------------------------------------------

def test_a_file_is_replaced_when_it_is_complete(tmp_path):
    path = tmp_path / 'x'
    path.write_bytes(b'old')
    with pytest.raises(RuntimeError, match='no more'):
        with files.atomic_write(str(path)) as f:
            f.write(b'n')
            f.flush()
            assert (tmp_path / 'x.partial').exists()
            raise RuntimeError('no more')
    assert path.read_bytes() == b'old'
    with files.atomic_write(str(path)) as f:
        f.write(b'new')
    assert path.read_bytes() == b'new'
    assert os.listdir(str(tmp_path)) == ['x']


def test_one_writer_at_a_time(tmp_path):
    path = str(tmp_path / 'x.npz')
    for _ in range(2):  # a lock file that stays is no lock
        with files.sole_writer(path):
            with pytest.raises(IOError, match='another training is saving'):
                with files.sole_writer(path):
                    pass
        assert os.listdir(str(tmp_path)) == ['x.npz.lock']
    with pytest.raises(ValueError, match='make it first'):
        with files.sole_writer(str(tmp_path / 'nowhere' / 'x.npz')):
            pass
    with pytest.raises(ValueError, match='name a file in it'):
        with files.sole_writer(str(tmp_path)):
            pass


def test_arrays_and_texts_survive(tmp_path):
    path = str(tmp_path / 'x.npz')
    lines = [u'', u'caf\xe9', u'', u'b', u'']
    values = {'b': [1, None], 'a': u'\xe9'}
    files.write_npz(path, {
        'lines': files.lines_array(lines), 'text': files.text_array(values),
        'array': numpy.asfortranarray([[1, 2], [3, 4]], '>i2')})
    with files.open_npz(path, 'model file') as archive:
        assert files.read_lines(archive, 'lines') == lines
        assert files.read_text(archive, 'text') == (
            '{"a": "\\u00e9", "b": [1, null]}')
        array = files.read_array(archive, 'array', lambda *_: None)
        shapes = files.member_shapes(archive)
        for name, read in (('text', files.read_lines),
                           ('lines', files.read_text)):
            with pytest.raises(ValueError, match='no text'):
                read(archive, name)
        with pytest.raises(ValueError, match='no item named'):
            files.read_text(archive, 'other')
    assert array.tolist() == [[1, 2], [3, 4]] and array.flags.c_contiguous
    assert shapes == {'lines': ((10,), 'uint8'), 'array': ((2, 2), '>i2'),
                      'text': ((), '<U31')}
    with pytest.raises(ValueError, match='contains a line feed'):
        files.lines_array(['a', 'b\nc'])


# --------------------------------------------------------------------------
# Minibatches
# --------------------------------------------------------------------------

def test_prepare_data_pads_at_the_end():
    from theano import config
    x, mask, labels = imdb.prepare_data([[5, 6, 7], [8], []], [1, 0, 1])
    assert x.tolist() == [[5, 8, 0], [6, 0, 0], [7, 0, 0]]
    assert mask.tolist() == [[1, 1, 0], [1, 0, 0], [1, 0, 0]]
    assert list(labels) == [1, 0, 1]
    assert x.dtype == 'int64' and mask.dtype == config.floatX


def test_prepare_data_leaves_long_reviews_out():
    x, mask, labels = imdb.prepare_data([[5, 6, 7], [8]], [1, 0], maxlen=3)
    assert x.tolist() == [[8]] and list(labels) == [0]
    assert imdb.prepare_data([[5, 6, 7]], [1], maxlen=3) == (None, None, None)
    assert imdb.prepare_data([], []) == (None, None, None)


def test_empty_reviews_make_a_row_of_padding():
    x, mask, _ = imdb.prepare_data([[], []], [0, 1])
    assert x.tolist() == [[0, 0]] and mask.tolist() == [[0, 0]]


def test_drop_words_makes_words_unknown_and_leaves_padding():
    x = numpy.random.RandomState(0).randint(2, 1000, size=(200, 50))
    mask = (numpy.arange(200)[:, None] < numpy.arange(150, 200)).astype('f4')
    x[mask == 0] = 0
    dropped = imdb.drop_words(x, mask, 0.3, [123, 7])
    changed = dropped != x
    assert (dropped[changed] == imdb.UNKNOWN).all()
    assert not changed[mask == 0].any()
    # Some 8,000 words of reviews: three standard deviations are 0.016.
    assert abs(changed.sum() / mask.sum() - 0.3) < 0.016
    assert dropped.dtype == x.dtype
    again = imdb.drop_words(x, mask, 0.3, [123, 7])
    numpy.testing.assert_array_equal(again, dropped)
    assert (imdb.drop_words(x, mask, 0.3, [123, 8]) != dropped).any()


def test_drop_words_takes_a_word_from_all_places_of_a_review():
    x = numpy.tile(2 + numpy.arange(200)[:, None] % 9, (1, 50))
    mask = numpy.ones(x.shape)
    changed = imdb.drop_words(x, mask, 0.3, [123, 7]) != x
    for word in range(9):
        for review in range(50):
            assert len(set(changed[word::9, review])) == 1
        assert len(set(changed[word])) == 2  # gone from some reviews only


# --------------------------------------------------------------------------
# Importing
# --------------------------------------------------------------------------

def test_import_reads_and_prints_nothing():
    code = ('import sys, numpy; before = numpy.random.get_state()[1].tolist();'
            'import imdb, lstm; '
            'assert before == numpy.random.get_state()[1].tolist()')
    done = subprocess.run(
        [sys.executable, '-W', 'error::UserWarning', '-c', code], cwd=ROOT,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert (done.returncode, done.stdout, done.stderr) == (0, b'', b'')
