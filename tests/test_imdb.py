"""imdb.py: tokenizing, preprocessing, safe loading, minibatches."""
import gzip
import os
import pickle
import subprocess
import sys
import tarfile

import numpy
import pytest

import imdb
from conftest import ROOT

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


def write_pickles(path, *objects, **how):
    """Write objects one after the other; bytes go in as they are."""
    with open(str(path), 'wb') as f:
        for each in objects:
            f.write(each if isinstance(each, bytes)
                    else pickle.dumps(each, how.get('protocol', 2)))
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


def test_reviews_may_stand_a_line_in_one_file_a_class(tmp_path):
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


@pytest.mark.parametrize('kind', [tarfile.SYMTYPE, tarfile.LNKTYPE,
                                  tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_archive_members_that_are_no_files_are_refused(tmp_path, kind):
    member = tarfile.TarInfo('aclImdb/train/pos/0_9.txt')
    member.type, member.linkname = kind, '/etc/passwd'
    with tarfile.open(str(tmp_path / 'a.tar'), 'w') as archive:
        archive.addfile(member)
    with pytest.raises(ValueError, match='0_9.txt is a link or a device'):
        imdb.read_reviews(str(tmp_path / 'a.tar'))


def test_damaged_sources_are_named(corpus, tmp_path):
    whole = write_tar(tmp_path / 'a.tar.gz', corpus).read_bytes()
    (tmp_path / 'cut.tar.gz').write_bytes(whole[:len(whole) // 2])
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
    (tmp_path / 'train' / 'pos.txt').write_text('good')
    with pytest.raises(ValueError, match='training reviews of 1 classes'):
        imdb.read_reviews(str(tmp_path))
    (tmp_path / 'train' / 'neg.txt').write_text('bad')
    (tmp_path / 'test').mkdir()
    (tmp_path / 'test' / 'meh.txt').write_text('so so')
    with pytest.raises(ValueError, match="of class 'meh'"):
        imdb.read_reviews(str(tmp_path))


def test_command_line(corpus, tmp_path):
    def run(*args):
        return subprocess.run(
            [sys.executable, os.path.join(ROOT, 'imdb.py')] + list(args),
            cwd=str(tmp_path), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, universal_newlines=True)

    done = run('aclImdb')
    assert done.returncode == 0, done.stderr
    assert '4 training and 2 test reviews' in done.stdout
    assert sorted(os.listdir(str(tmp_path / 'data'))) == [
        'imdb.dict.pkl', 'imdb.pkl']
    again = run('aclImdb')
    assert again.returncode == 1
    assert again.stderr.startswith('imdb.py: ') and (
        again.stderr.count('\n') == 1)


def test_real_archive(real_data):
    with open(real_data, 'rb') as f:
        (train_x, train_y), (test_x, test_y) = pickle.load(f), pickle.load(f)
    assert len(train_x) == 25000 and len(test_x) == len(test_y) == 12500
    assert train_y.count(0) == train_y.count(1) == 12500
    # What another implementation of Moses tokenization counts.
    assert sum(map(len, train_x)) == 7113749
    dictionary = imdb.load_dictionary(real_data[:-4] + '.dict.pkl')
    assert len(dictionary) == 101744
    assert dictionary['the'] == 2
    train, valid, test = imdb.load_data(real_data, 10000, 0.05, maxlen=100)
    assert (len(train[0]), len(valid[0]), len(test[0])) == (2003, 105, 12500)


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
    # No two begin alike, and no phrase of six words returns.
    openings, phrases = set(), {}
    for n, text in enumerate(texts):
        words = [w for w in text.lower().replace('.', ' ').replace(
            ',', ' ').split()]
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


def load(path, **how):
    return imdb.load_data(str(path), **dict(
        {'valid_portion': 0.25, 'sort_by_len': False}, **how))


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
    state = numpy.random.get_state()[1].tolist()
    first = load(path, seed=1)
    numpy.random.rand()
    assert first == load(path, seed=1)
    assert first != load(path, seed=2)
    numpy.random.seed(0)
    before = numpy.random.get_state()[1].tolist()
    load(path)
    assert before == numpy.random.get_state()[1].tolist()
    assert state is not before


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol_and_numpy_arrays_load(tmp_path, protocol):
    plain = load(write_pickles(tmp_path / 'd.pkl', TRAIN, TEST))
    for dtype in ('int64', 'int32', '>i4', 'uint8'):
        def array(values):
            return numpy.array(values, 'int64').astype(dtype)
        train = ([array(review) for review in TRAIN[0]], array(TRAIN[1]))
        if dtype == 'uint8':
            train = (train[0], [numpy.int64(y) for y in TRAIN[1]])
        path = write_pickles(tmp_path / 'a.pkl', train, TEST,
                             protocol=protocol)
        assert load(path) == plain


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
    with pytest.raises(IOError, match=r'download\.sh'):
        load('imdb.pkl')
    (tmp_path / 'data').mkdir()
    with gzip.open('data/imdb.pkl.gz', 'wb') as f:
        f.write(pickle.dumps(TRAIN, 2) + pickle.dumps(TEST, 2))
    expected = load('imdb.pkl')
    assert expected[2] == TEST
    assert load('imdb.pkl.gz') == load('data/imdb.pkl.gz') == expected
    assert load(tmp_path / 'data' / 'imdb.pkl.gz') == expected
    write_pickles(tmp_path / 'imdb.pkl', TRAIN, ([[7]], [0]))
    assert load('imdb.pkl')[2] == ([[7]], [0])


class Malicious(object):
    """Its pickle makes a file when it is loaded."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
def test_malicious_pickles_are_refused_and_named(tmp_path, protocol):
    harm = Malicious(tmp_path / 'harm')
    pickle.loads(pickle.dumps(harm, protocol))
    os.rmdir(str(tmp_path / 'harm'))  # the attack works where nothing stops it
    for objects in ((harm, TEST), (([[harm]], [0]), TEST), (TRAIN, harm)):
        path = write_pickles(tmp_path / 'd.pkl', *objects, protocol=protocol)
        with pytest.raises(ValueError, match=r'(posix|nt)\.mkdir'):
            load(path)
        with pytest.raises(ValueError):
            imdb.load_dictionary(path)
        assert not os.path.exists(str(tmp_path / 'harm'))


@pytest.mark.parametrize('data, words', [
    (b'cbuiltins\neval\n(S"1"\ntR.', r'builtins\.eval'),
    (b'(ios\nsystem\n.', 'opcode INST'),
    (b'c__builtin__\ngetattr\n.', r'__builtin__\.getattr'),
    (b'cnumpy\nload\n.', r'numpy\.load'),
    (b'\x80\x04\x8c\x05numpy\x8c\x0dndarray.dumps\x93.', r'ndarray\.dumps'),
    (b'P12\n.', 'opcode PERSID'),
    (pickle.dumps(numpy.array([object()]), 2), r'__builtin__\.object'),
    (pickle.dumps(numpy.array([1.5]), 2), 'only integers'),
    (pickle.dumps(numpy.array([[1]]), 2), 'no plain list'),
    (b'', 'cannot be loaded'),
    (b'garbage', 'cannot be loaded'),
])
def test_what_is_not_plain_data_is_refused(tmp_path, data, words):
    path = write_pickles(tmp_path / 'd.pkl', data, TEST)
    with pytest.raises(ValueError, match=words):
        load(path)


def test_every_truncation_is_refused(tmp_path):
    whole = pickle.dumps(TRAIN, 2) + pickle.dumps(TEST, 2)
    for n in range(len(whole)):
        with pytest.raises(ValueError, match='cannot be loaded'):
            load(write_pickles(tmp_path / 'd.pkl', whole[:n]))


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


def test_import_reads_and_prints_nothing():
    code = ('import sys, numpy; before = numpy.random.get_state()[1].tolist();'
            'import imdb, lstm; '
            'assert before == numpy.random.get_state()[1].tolist()')
    done = subprocess.run(
        [sys.executable, '-W', 'error::UserWarning', '-c', code], cwd=ROOT,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert (done.returncode, done.stdout, done.stderr) == (0, b'', b'')
