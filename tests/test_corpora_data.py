"""imdb.py: text, preprocessing, loading, minibatches; files."""
import csv
import gzip
import io
import json
import multiprocessing
import os
import pathlib
import pickle
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile

import numpy
import pytest

import imdb
from conftest import ROOT, heed_signals
from lstm_support.corpora import workers
from lstm_support.storage import files
from lstm_support import text as text_rules

REVIEWS = {
    'train/pos/0_9.txt': 'A fine, fine film.',
    'train/pos/1_8.txt': u'Caf\xe9 scenes shine; a film to love',
    'train/neg/0_2.txt': "It isn't a film I'd love.",
    'train/neg/1_1.txt': 'Dull.',
    'test/pos/0_10.txt': 'Fine unseen',
    'test/neg/0_1.txt': '',
    'test/neg/1_2.txt': 'Unseen and dull!',
    'train/unsup/0_0.txt': 'Nobody labelled this.',
    'train/urls_pos.txt': 'http://example.org/title',
}


@pytest.fixture
def corpus(tmp_path):
    """A folder in the layout of the distribution."""
    return write_texts(tmp_path / 'aclImdb', REVIEWS)


def write_texts(folder, texts):
    """Write texts into files, by their names; bytes go in as they are."""
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes)
                         else text.encode('utf-8'))
    return folder


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
        '&apos;t', 'bad', '&amp;', 'long', '...']
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
    dictionary = imdb.load_dictionary(path)
    # The full stop, "a" and "film" occur three times, "fine" and "love"
    # twice; "unseen" is in no training review.
    assert dictionary['.'] == 2
    assert [w for w, n in sorted(dictionary.items(), key=lambda i: i[1])
            ][:5] == ['.', 'a', 'film', 'fine', 'love']
    assert sorted(dictionary.values()) == list(range(2, len(dictionary) + 2))
    assert 'unseen' not in dictionary and 'nobody' not in dictionary

    with open(path, 'rb') as f:
        (train_x, train_y), (test_x, test_y) = pickle.load(f), pickle.load(f)
        described = pickle.load(f)
        assert f.read() == b''
    assert train_y == [0, 0, 1, 1] and test_y == [0, 1]
    assert train_x == [imdb.encode(REVIEWS[name], dictionary) for name in (
        'train/neg/0_2.txt', 'train/neg/1_1.txt',
        'train/pos/0_9.txt', 'train/pos/1_8.txt')]
    # The empty review is left out.
    assert test_x == [[imdb.UNKNOWN, imdb.UNKNOWN, dictionary['dull'],
                       imdb.UNKNOWN], [dictionary['fine'], imdb.UNKNOWN]]
    assert described == {
        'words': sorted(dictionary, key=dictionary.get), 'valid': None,
        'classes': ['neg', 'pos'], 'tokenizer': imdb.TOKENIZER,
        'groups': None}


def test_archive_folder_and_rerun_give_the_same_bytes(corpus, tmp_path):
    sources = [corpus, write_tar(tmp_path / 'a.tar.gz', corpus), corpus]
    written = []
    for n, source in enumerate(sources):
        path = tmp_path / ('%d.pkl' % n)
        imdb.preprocess(str(source), str(path))
        written.append(path.read_bytes())
    assert written[0] == written[1] == written[2]
    assert sorted(os.listdir(str(tmp_path))) == sorted(
        ['aclImdb', 'a.tar.gz'] + ['%d.pkl' % n for n in range(3)])


def test_a_file_may_hold_one_review_per_line(tmp_path):
    for name, text in (('train/pos.txt', 'good\n\nfine\n'),
                       ('train/neg.txt', 'bad'), ('test/pos.txt', 'nice'),
                       ('test/neg.txt', u'sad\u2028\x0cto see\r\n')):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text.encode('utf-8'))
    assert imdb.read_reviews(str(tmp_path)) == [
        ('test', 'neg', u'sad\u2028\x0cto see'), ('test', 'pos', 'nice'),
        ('train', 'neg', 'bad'),
        ('train', 'pos', 'good'), ('train', 'pos', 'fine')]


def test_an_existing_data_file_is_not_overwritten(corpus, tmp_path):
    path = tmp_path / 'my.pkl'
    path.write_bytes(b'precious')
    with pytest.raises(IOError, match='already exists'):
        imdb.preprocess(str(corpus), str(path))
    assert path.read_bytes() == b'precious'


def test_damaged_sources_are_named(corpus, tmp_path):
    complete = write_tar(tmp_path / 'a.tar.gz', corpus).read_bytes()
    (tmp_path / 'cut.tar.gz').write_bytes(complete[:len(complete) // 2])
    (tmp_path / 'text').write_text('hello')
    (corpus / 'train' / 'pos' / '2_9.txt').write_bytes(b'caf\xe9')
    for source, error, words in (
            ('cut.tar.gz', IOError, 'damaged or incomplete'),
            ('text', IOError, 'neither a folder nor a tar or zip archive'),
            ('nowhere', IOError, 'does not exist'),
            ('aclImdb', ValueError, r'2_9\.txt is not UTF-8')):
        with pytest.raises(error, match=words):
            imdb.read_reviews(str(tmp_path / source))


def test_a_corpus_without_two_classes_is_refused(tmp_path):
    for name, words in (
            (None, 'no training reviews; put them into train/CLASS/'),
            ('train/pos.txt', 'has no test part: put about a tenth'),
            ('test/pos.txt', 'two or more classes, and has 1: pos; put them'),
            ('train/neg.txt', "has no test reviews of class 'neg', which"),
            ('test/meh.txt', "test reviews of class 'meh', and no training"),
            ('train/meh.txt', "has no test reviews of class 'neg', which"),
            ('dev/pos.txt', "has no validation reviews of class 'meh'")):
        if name:
            write_texts(tmp_path, {name: 'so so'})
        with pytest.raises(ValueError, match=words):
            imdb.read_reviews(str(tmp_path))


def test_processes_agree_with_one():
    reviews = imdb.read_reviews(os.path.join(ROOT, 'data', 'sample'))
    assert len(reviews) > 500 and imdb.encode_reviews(
        reviews, 2) == imdb.encode_reviews(reviews)


def start(folder, *args):
    return subprocess.Popen(
        [sys.executable, '-u', os.path.join(ROOT, 'imdb.py')] + list(args),
        cwd=str(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        universal_newlines=True, preexec_fn=heed_signals)


def test_command_line(corpus, tmp_path):
    process = start(tmp_path, 'aclImdb')
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert out.splitlines() == [
        'Reading aclImdb',
        'Left out: reviews without a label (unsup): 1, for example '
        'train/unsup/0_0.txt',
        'Groups are not used, because of training reviews without a line in '
        'urls_CLASS.txt or groups_CLASS.txt: 3, for example train/neg/0_2.txt',
        'Left out: texts without a word: 1, for example one of test neg',
        'class   train    test', 'neg         2       1',
        'pos         2       1',
        'Warning: 4 training reviews are few; training and validation need '
        'some hundreds',
        '4 training and 2 test reviews; 25 words in the training reviews, 17 '
        'of them distinct',
        'Wrote data/imdb.pkl']
    assert os.listdir(str(tmp_path / 'data')) == ['imdb.pkl']
    for args, words in ((['aclImdb'], 'already exists'),
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
    line = 'It is not a film that I would see again, is it?\n'
    write_texts(tmp_path, {
        'train/neg.txt': line * 50000, 'train/pos.txt': line * 50000,
        'test/neg.txt': line, 'test/pos.txt': line})
    process = start(tmp_path, '.')
    assert process.stdout.readline() == 'Reading .\n'
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    # Its processes hold the pipes, too: this waits until all have ended.
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == 'imdb.py: interrupted; data/imdb.pkl was not written\n'
    assert sorted(os.listdir(str(tmp_path))) == ['test', 'train']


def test_real_archive(real_data, archive):
    (train_x, train_y), (test_x, test_y) = imdb.read_data(real_data)
    # The complete archive has 25,000 test reviews; a part of it has 12,500.
    assert len(train_x) == 25000 and len(test_x) in (12500, 25000)
    assert train_y.count(0) == train_y.count(1) == 12500
    assert test_y.count(0) == test_y.count(1) == len(test_x) // 2
    assert sum(map(len, train_x)) == 6712079
    dictionary = imdb.load_dictionary(real_data)
    assert len(dictionary) == 97310
    assert dictionary['the'] == 2
    train, valid, test = imdb.load_data(real_data, 10000, 0.05, maxlen=100,
                                        split='random')
    assert (len(train[0]), len(valid[0]), len(test[0])) == (
        2161, 114, len(test_x))
    # What the plain MosesTokenizer of sacremoses counts in every tenth review.
    train = [review for review in imdb.read_reviews(archive)
             if review[0] == 'train'][::10]
    old = imdb.encode_reviews(train, workers.processors(), text_rules.OLD)
    assert sum(map(len, old.train[0])) == 706443
    assert len(old.dictionary) == 32218


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
    (([[2], 5], [1, 0]), 'training review 1: a int in place'),
    (([[2, 2.5]], [1]), 'review 0 is not a list of word ids'),
    (([[2, None]], [1]), 'review 0 is not a list of word ids'),
    (([[2, -4]], [1]), 'negative number'),
    (([[2]], ['pos']), 'labels are not whole numbers'),
    (([[2]],), 'not a pair'),
    ({'x': 1}, 'not a pair'),
    ([[[2]], [1], []], 'not a pair'),
    ((3, 4), 'in place of a list'),
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
    encoded = imdb.encode_sample()
    words = encoded._replace(train=None, valid=None, test=None)
    assert words.classes == ['neg', 'pos']
    assert imdb.dataset_words('sample') == words
    assert capsys.readouterr().out == ''
    with monkeypatch.context() as patch:
        patch.setattr(imdb, 'find_file', lambda path: None)
        assert imdb.load_dataset('imdb', n_words=50) == sample
        assert 'There is no data/imdb.pkl' in capsys.readouterr().out
        assert imdb.data_path('imdb') is imdb.data_path('sample') is None
        assert imdb.dataset_words('imdb') == words
    for name, file_name in (('imdb', 'imdb.pkl'), ('my.pkl', 'my.pkl')):
        imdb.write_data(file_name, TRAIN, TEST)
        assert imdb.data_path(name) == file_name
        assert imdb.load_dataset(name, seed=3) == imdb.load_data(
            file_name, seed=3)
    assert capsys.readouterr().out == ''
    assert imdb.dataset_words('my.pkl') == imdb.Corpus()
    write_pickles('my.dict.pkl', {'w': 2}, {'a': 0, 'b': 1})
    assert imdb.dataset_words('my.pkl') == imdb.Corpus(
        dictionary={'w': 2}, classes=['a', 'b'], tokenizer=text_rules.OLD)
    with pytest.raises(IOError, match='nowhere.pkl is neither here'):
        imdb.load_dataset('nowhere.pkl')


# --------------------------------------------------------------------------
# Corpora that people have
# --------------------------------------------------------------------------

LINES = {'good': ['The film was great.', 'Superb and warm.', 'So funny.'],
         'bad': ['The film was dull.', 'Weak and cold.', 'So boring.']}


def small_corpus(folder, n=3, **more):
    """Write train and test of two classes, one file per review."""
    texts = dict(('%s/%s/%d.txt' % (split, label, k),
                  LINES[label][k % 3] + ' %s %d' % (split, k))
                 for split in ('train', 'test') for label in LINES
                 for k in range(n))
    return write_texts(folder, dict(texts, **more))


def preprocessed(source, path, capsys, **kwargs):
    """Preprocess, load what was written, and return what was printed, too."""
    imdb.preprocess(source, path, **kwargs)
    return (imdb.read_data(path), imdb.dataset_words(path),
            capsys.readouterr().out)


def n_reviews(split_set):
    """Return the number of reviews of each class."""
    return numpy.bincount(split_set[1]).tolist()


def test_a_byte_order_mark_is_no_word(tmp_path, capsys):
    """If it were, the mark would tell the class."""
    small_corpus(tmp_path / 'plain')
    for split in ('train', 'test'):
        for n in range(3):
            path = 'plain/%s/bad/%d.txt' % (split, n)
            write_texts(tmp_path, {
                path: u'\ufeff' + (tmp_path / path).read_text()})
    marked = preprocessed(tmp_path / 'plain', tmp_path / 'm.pkl', capsys)
    small_corpus(tmp_path / 'plain')
    plain = preprocessed(tmp_path / 'plain', tmp_path / 'p.pkl', capsys)
    assert marked[:2] == plain[:2]
    assert not any(u'\ufeff' in word for word in marked[1].dictionary)
    for encoding in ('utf-8-sig', 'utf-16', 'utf-32', 'utf-16-be'):
        mark = u'\ufeff' if encoding == 'utf-16-be' else u''
        write_texts(tmp_path / 'plain', {'train/bad/1.txt': (
            mark + u'Caf\xe9 dull').encode(encoding)})
        assert ('train', 'bad', u'Caf\xe9 dull') in imdb.read_reviews(
            tmp_path / 'plain')


@pytest.mark.parametrize('data, words', [
    (u'great film\n'.encode('utf-16-le'),
     'is not UTF-8 text but UTF-16, it seems; convert it first: iconv -f '
     'UTF-16LE -t UTF-8 FILE > NEW'),
    (b'caf\xe9', r'is not UTF-8 text \(byte 3\); convert it first: iconv -f '
                 'WINDOWS-1252 -t UTF-8 FILE > NEW'),
    (b'\xff\xfea', r'is not UTF-16-LE text \(byte 2\)')])
def test_another_encoding_is_named_with_the_way_to_convert(tmp_path, data,
                                                           words):
    small_corpus(tmp_path, **{'train/bad/1.txt': data})
    with pytest.raises(ValueError, match='train/bad/1.txt ' + words):
        imdb.read_reviews(tmp_path)


def test_files_that_are_no_texts_are_left_out_and_named(tmp_path, capsys):
    small_corpus(tmp_path / 'c', **{
        'train/README.txt': 'Collected in May.', 'README.txt': 'Mine.',
        'train/.ipynb_checkpoints/good-checkpoint.txt': 'x',
        'train/good/._0.txt': b'\0\5\x16\7\0\2\xff\xff',
        'train/good/.DS_Store': b'\0\1', 'train/good/photo.jpg': b'\xff\xd8',
        'train/notes.txt': 'a', 'train/thoughts.txt': 'a\nb',
        '__MACOSX/train/good/0.txt': 'x'})
    (train, test), words, out = preprocessed(
        tmp_path / 'c', tmp_path / 'd.pkl', capsys)
    assert words.classes == ['bad', 'good']
    assert n_reviews(train) == n_reviews(test) == [3, 3]
    assert out.splitlines()[1:9] == [
        'Left out: hidden folders: 2, for example __MACOSX',
        'Left out: files of no class: 2, for example train/README.txt',
        'Left out: hidden files: 2, for example train/good/.DS_Store',
        'Left out: files not named .txt: 1, for example train/good/photo.jpg',
        'Left out: files outside of train, valid and test: 1, for example '
        'README.txt',
        'Left out: texts in files next to the folders of classes: 2, for '
        'example train/thoughts.txt',
        'class   train    test', 'bad         3       3']


def test_nothing_is_skipped_without_a_word(tmp_path, capsys):
    """.TXT, sub-folders, linked class folders and files, an own valid/."""
    small_corpus(tmp_path / 'c', **{'train/good/3.TXT': 'Upper',
                                    'train/good/more/deep/4.txt': 'Deep'})
    train = tmp_path / 'c' / 'train'
    os.rename(str(train / 'bad'), str(tmp_path / 'elsewhere'))
    os.symlink('../../elsewhere', str(train / 'bad'))
    write_texts(tmp_path, {'apart.txt': 'Linked'})
    os.symlink('../../../apart.txt', str(train / 'good' / '5.txt'))
    os.symlink('..', str(train / 'good' / 'circle'))
    small_corpus(tmp_path / 'other')
    os.rename(str(tmp_path / 'other' / 'test'), str(tmp_path / 'c' / 'valid'))
    path = tmp_path / 'd.pkl'
    (train, test), words, out = preprocessed(tmp_path / 'c', path, capsys)
    assert (n_reviews(train), n_reviews(test)) == ([3, 6], [3, 3])
    for word in ('upper', 'deep', 'linked'):
        assert words.dictionary[word]
    assert out.splitlines()[1:6] == [
        'Left out: links to a folder above them: 1, for example '
        'train/good/circle',
        'class   train   valid    test', 'bad         3       3       3',
        'good        6       3       3',
        'Warning: 9 training reviews are few; training and validation need '
        'some hundreds']
    # The own validation part is used, whatever valid_portion is.
    for portion in (0.05, 0.9):
        train, valid, _ = imdb.load_data(path, valid_portion=portion)
        assert (n_reviews(train), n_reviews(valid)) == ([3, 6], [3, 3])
        assert sorted(valid[0]) == sorted(test[0])


def test_a_folder_read_twice_through_a_link_is_said(tmp_path, capsys):
    small_corpus(tmp_path / 'c')
    os.symlink('bad', str(tmp_path / 'c' / 'train' / 'worse'))
    os.symlink('bad', str(tmp_path / 'c' / 'test' / 'worse'))
    out = preprocessed(tmp_path / 'c', tmp_path / 'd.pkl', capsys)[2]
    assert ('Files that are read twice, through links: 6, for example '
            'test/worse/0.txt\n') in out
    assert ('Training reviews that are in two classes, word for word: 3, for '
            'example ') in out


def test_several_corpora_are_not_mixed(tmp_path):
    for name in 'one', 'two':
        small_corpus(tmp_path / 'all' / name)
    with pytest.raises(ValueError, match='has several folders of test reviews:'
                                         ' one/test and two/test; name the '
                                         'folder above one of them'):
        imdb.read_reviews(tmp_path / 'all')
    assert len(imdb.read_reviews(tmp_path / 'all' / 'two')) == 12


def test_a_link_to_nothing_is_an_error(tmp_path):
    small_corpus(tmp_path)
    os.symlink('nothing', str(tmp_path / 'train' / 'good' / '7.txt'))
    with pytest.raises(IOError, match='7.txt cannot be read: it is a link to '
                                      'nothing'):
        imdb.read_reviews(tmp_path)


@pytest.fixture
def open_folder():
    """A folder that other users may enter, unlike pytest's own."""
    folder = tempfile.mkdtemp()
    os.chmod(folder, 0o755)
    yield pathlib.Path(folder)
    shutil.rmtree(folder)


def test_what_may_not_be_read_is_an_error(open_folder):
    """In a process of another user: the super-user may read everything."""
    code = ('import os, sys, imdb\nif os.getuid() == 0: os.setuid(65534)\n'
            'try: print(len(imdb.read_reviews(sys.argv[1])))\n'
            'except IOError as error: print(error)')
    source = small_corpus(open_folder / 'c')
    for place in ('train/bad', 'train/good/1.txt', '', None):
        path = source / (place or '')
        mode = path.stat().st_mode
        path.chmod(mode if place is None else 0)
        out = subprocess.check_output(
            [sys.executable, '-c', code, str(source)], cwd=ROOT,
            universal_newlines=True)
        path.chmod(mode)
        assert out == ('12\n' if place is None else
                       'permission denied: %s cannot be read; change its '
                       'mode, or run this as its owner\n' % path)


def test_texts_without_a_word_are_no_corpus(tmp_path):
    write_texts(tmp_path, dict(
        ('%s/%s/%d.txt' % (split, label, n), ' \n'[n % 2])
        for split in ('train', 'test') for label in ('a', 'b')
        for n in range(15)))
    with pytest.raises(ValueError, match='needs training reviews of two or '
                                         'more classes, and has none'):
        imdb.preprocess(tmp_path, tmp_path / 'd.pkl')
    write_texts(tmp_path, {'train/a/0.txt': 'x', 'train/b/0.txt': 'y',
                           'test/a/0.txt': 'z'})
    with pytest.raises(ValueError, match="has no test reviews of class 'b'"):
        imdb.preprocess(tmp_path, tmp_path / 'd.pkl')
    assert sorted(os.listdir(str(tmp_path))) == ['test', 'train']


def test_texts_in_train_and_test_are_counted(tmp_path, capsys):
    small_corpus(tmp_path / 'c', **{
        'train/good/7.txt': 'The same.', 'test/good/7.txt': 'the  SAME.',
        'test/bad/7.txt': 'The same.', 'valid/good/1.txt': 'The same.',
        'valid/bad/1.txt': 'Not the same.', 'train/bad/7.txt': 'The same.'})
    out = preprocessed(tmp_path / 'c', tmp_path / 'd.pkl', capsys)[2]
    assert ("Training reviews that are in two classes, word for word: 1, for "
            "example 'The same.'\n") in out
    assert ("Test reviews that are training reviews, too, word for word: 2, "
            "for example 'The same.'\n") in out
    assert ("Validation reviews that are training reviews, too, word for "
            "word: 1, for example 'The same.'\n") in out


def test_a_test_part_is_needed_and_ten_texts_are_few(tmp_path, capsys):
    texts = dict(('train/%s/%d.txt' % (label, n), '%s %d' % (label, n))
                 for label in ('a', 'b') for n in range(5))
    write_texts(tmp_path / 'c', texts)
    with pytest.raises(ValueError, match='has no test part: put about a tenth '
                                         'of the texts into test/CLASS/'):
        imdb.preprocess(tmp_path / 'c', tmp_path / 'd.pkl')
    (train, test), _, out = preprocessed(
        tmp_path / 'c', tmp_path / 'd.pkl', capsys, test_portion=0.2)
    assert (n_reviews(train), n_reviews(test)) == ([4, 4], [1, 1])
    assert 'Warning: 8 training reviews are few' in out
    assert ('There is no test part: 0.2 of the texts of each class are set '
            'apart for it\n') in out

    write_texts(tmp_path / 'c', {'test/a/1.txt': 'x', 'test/b/1.txt': 'y'})
    (train, test), _, out = preprocessed(
        tmp_path / 'c', tmp_path / 'e.pkl', capsys, test_portion=0.2)
    assert n_reviews(test) == [1, 1] and n_reviews(train) == [5, 5]
    assert 'There is a test part, so test_portion has no effect\n' in out
    with pytest.raises(ValueError, match='test_portion=2: it must be a num'):
        imdb.preprocess(tmp_path / 'c', tmp_path / 'f.pkl', test_portion=2)


# --------------------------------------------------------------------------
# Tables, zip archives
# --------------------------------------------------------------------------

ROWS = [('Great,\nwith a "twist", and commas %d' % n, 'good')
        for n in range(10)] + [
    (u'Caf\xe9 scenes, d\xe9j\xe0 vu; dull %d' % n, 'bad')
    for n in range(20)]


def write_table(path, rows, columns=('text', 'label'), dialect='excel'):
    f = io.StringIO(newline='')
    csv.writer(f, dialect).writerows([columns] + rows)
    write_texts(path.parent, {path.name: f.getvalue()})
    return path


def json_lines(rows, columns=('text', 'label')):
    return ''.join(json.dumps(dict(zip(columns, row))) + '\n'
                   for row in rows)


def test_tables_are_read(tmp_path, capsys):
    """Quotes, commas, line breaks; a share of each class is set apart."""
    expected = imdb.read_reviews(write_table(tmp_path / 'r.csv', ROWS))
    assert sorted(review[1:] for review in expected) == sorted(
        (label, review) for review, label in ROWS)
    assert sorted((split, label) for split, label, _ in expected) == (
        [('test', 'bad')] * 2 + [('test', 'good')] +
        [('train', 'bad')] * 18 + [('train', 'good')] * 9)
    assert 'There is no test part: 0.1 of' in capsys.readouterr().out
    semicolons = io.StringIO(newline='')
    csv.writer(semicolons, delimiter=';').writerows(
        [('Label', 'Review Text')] + [row[::-1] for row in ROWS])
    plain = [(review.replace('\n', ' '), label) for review, label in ROWS]
    array = '[%s]' % json_lines(ROWS).strip().replace('\n', ',')
    write_texts(tmp_path, {
        'r.jsonl': json_lines(ROWS), 'r.ndjson': json_lines(ROWS),
        'r.json': array, 's.csv': semicolons.getvalue(),
        'bom.CSV': b'\xef\xbb\xbf' + (tmp_path / 'r.csv').read_bytes(),
        'utf16.csv': (tmp_path / 'r.csv').read_bytes().decode(
            'utf-8').encode('utf-16'),
        'r.csv.gz': gzip.compress((tmp_path / 'r.csv').read_bytes())})
    write_table(tmp_path / 'r.tsv', ROWS, dialect='excel-tab')
    for name in ('r.tsv', 'r.jsonl', 'r.ndjson', 'r.json', 's.csv', 'bom.CSV',
                 'utf16.csv', 'r.csv.gz'):
        assert imdb.read_reviews(tmp_path / name) == expected, name
    # Without quoting, and with backslashes, as some write tables with tabs.
    for name, head, row in (
            ('plain.tsv', 'text\tlabel\n', '%s\t%s\n'),
            ('slash.tsv', '"text"\t"label"\n', '"%s"\t%s\n')):
        body = ''.join(row % (
            review.replace('"', '\\"') if name == 'slash.tsv' else
            '"' + review, label) for review, label in plain)
        write_texts(tmp_path, {name: head + body})
        assert sorted(review[1:] for review in imdb.read_reviews(
            tmp_path / name)) == sorted(
                (label, review if name == 'slash.tsv' else '"' + review)
                for review, label in plain)


def test_columns_by_their_usual_names_or_by_option(tmp_path):
    rows = [(n, 'x' * (n + 1), 'neg' if n % 2 else 'pos', n % 3)
            for n in range(30)]
    path = write_table(tmp_path / 'r.csv', rows, ('id', 'Tweet', 'Sentiment',
                                                  'mood'))
    by_default = imdb.read_reviews(path)
    assert sorted(set(label for _, label, _ in by_default)) == ['neg', 'pos']
    by_option = imdb.read_reviews(path, label_column='mood')
    assert sorted(set(label for _, label, _ in by_option)) == ['0', '1', '2']
    assert len(imdb.read_reviews(path, 'Tweet', 'mood', 0.3)) == 30
    for columns, options, words in (
            (('id', 'a', 'b', 'c'), (), 'has the columns id, a, b, c; name '
             'those to use with --text COLUMN and --label COLUMN'),
            (('id', 'text', 'b', 'c'), (), 'to use with --label COLUMN'),
            (('id', 'a', 'b', 'c'), ('what',), 'has no column what; it has id'
             ', a, b, c'),
            (('text', 'text', 'label', 'c'), (), 'several columns text'),
            (('label', 'text', 'b', 'c'), (), 'column of labels has 30 '
             'different values in 30 rows')):
        path = write_table(tmp_path / 'r.csv', rows, columns)
        with pytest.raises(ValueError, match=words):
            imdb.read_reviews(path, *options)


def test_rows_of_a_table_are_counted_or_refused(tmp_path, capsys):
    path = write_table(tmp_path / 'r.csv', ROWS + [
        ('', 'good'), ('No label', ''), (' ', 'bad')])
    out = preprocessed(path, tmp_path / 'd.pkl', capsys)[2]
    assert 'Left out: rows without a text: 2, for example' in out
    assert 'Left out: rows without a label: 1, for example' in out
    for name, data, words in (
            ('r.csv', 'text,label\na,b,c\n', 'line 2 is damaged: it has 3 '
             'fields, and the first row has 2'),
            ('r.csv', 'text,label\n"a,b\n', 'line 2 is damaged'),
            ('r.csv', '', 'is empty'), ('r.jsonl', '\n', 'is empty'),
            ('r.jsonl', '{"text": "a"}\n{"text"', 'line 2 is not JSON'),
            ('r.jsonl', '{}\n{}', 'is empty'),
            ('r.jsonl', '[1]', 'line 1 is not JSON'),
            ('r.json', '[1]', 'item 1 is no JSON object'),
            ('r.jsonl', '{"id": 7}\n\n{"text": 5, "label": 1}',
             'line 3: the text must be a string, not int'),
            ('r.csv', u'text,label\ncaf\xe9,a\n'.encode('latin1'),
             'r.csv is not UTF-8 text')):
        write_texts(tmp_path, {name: data})
        with pytest.raises(ValueError, match=words):
            imdb.read_reviews(tmp_path / name)


def test_numbers_and_truth_are_labels(tmp_path):
    rows = [('a', 1), ('b', 1.0), ('c', '1'), ('d', 0), ('e', '0.0'),
            ('f', True), ('g', False), ('h', ' true '), ('i', 'false'),
            ('j', None), ('k', float('nan'))]
    write_texts(tmp_path, {'r.jsonl': json_lines(rows)})
    labels = dict((review, label) for _, label, review in
                  imdb.read_reviews(tmp_path / 'r.jsonl', test_portion=0.4))
    assert labels == {'a': '1', 'b': '1', 'c': '1', 'd': '0', 'e': '0',
                      'f': 'true', 'g': 'false', 'h': 'true', 'i': 'false'}


def test_a_column_of_splits_counts(tmp_path, capsys):
    rows = [(review, label, ('train', 'Validation', 'test')[n % 3])
            for n, (review, label) in enumerate(ROWS)]
    columns = 'text', 'label', 'Split'
    reviews = imdb.read_reviews(write_table(tmp_path / 'r.csv', rows,
                                            columns))
    assert reviews == [(split.lower().replace('validation', 'valid'), label,
                        review) for review, label, split in rows]
    write_table(tmp_path / 'r.csv', rows + [('x', 'good', 'other')], columns)
    out = preprocessed(tmp_path / 'r.csv', tmp_path / 'd.pkl', capsys)[2]
    assert ('Rows of another split than train, valid and test, so that the '
            'splits do not count: 1, for example other\n') in out
    assert 'There is no test part: 0.1 of' in out


def test_tables_named_by_their_split(tmp_path):
    write_table(tmp_path / 'c' / 'train.csv', ROWS)
    write_table(tmp_path / 'c' / 'test.csv', ROWS[5:15])
    write_table(tmp_path / 'c' / 'more.csv', ROWS)
    expected = [('test', label, review) for review, label in ROWS[5:15]] + [
        ('train', label, review) for review, label in ROWS]
    assert imdb.read_reviews(tmp_path / 'c') == expected
    shutil.make_archive(str(tmp_path / 'a'), 'zip', str(tmp_path), 'c')
    assert imdb.read_reviews(tmp_path / 'a.zip') == expected


def test_zip_tar_and_folder_agree(tmp_path, capsys):
    small_corpus(tmp_path / 'c', **{'train/.hidden/x.txt': 'x',
                                    'train/photo.png': b'\xff'})
    found = [preprocessed(tmp_path / 'c', tmp_path / '0.pkl', capsys)]
    for n, form in enumerate(('zip', 'tar', 'gztar', 'bztar', 'xztar'), 1):
        path = shutil.make_archive(str(tmp_path / form), form, str(tmp_path),
                                   'c')
        found.append(preprocessed(path, tmp_path / ('%d.pkl' % n), capsys))
        assert found[n][:2] == found[0][:2]
        for line in ('hidden files: 1, for example c/train/.hidden/x.txt\n',
                     'files not named .txt: 1, for example '
                     'c/train/photo.png\n'):
            assert 'Left out: ' + line in found[n][2]
    with zipfile.ZipFile(str(tmp_path / 't.zip'), 'w') as archive:
        archive.write(str(write_table(tmp_path / 'r.csv', ROWS)), 'd/r.csv')
    assert imdb.read_reviews(tmp_path / 't.zip') == imdb.read_reviews(
        tmp_path / 'r.csv')


# --------------------------------------------------------------------------
# Splits, names of classes, data files and dictionaries
# --------------------------------------------------------------------------

def test_a_rare_class_is_in_validation_for_every_seed(tmp_path):
    """10 of 400 reviews: by chance alone, half of the seeds had none."""
    train = ([[n + 2] for n in range(400)], [int(n < 10) for n in range(400)])
    path = write_pickles(tmp_path / 'd.pkl', train, TEST)
    for seed in range(50):
        sets = imdb.load_data(path, valid_portion=0.05, seed=seed)[:2]
        assert as_sorted(*sets) == as_sorted(train)
        assert n_reviews(sets[1])[1] >= 1 and n_reviews(sets[0])[1] >= 5
        assert abs(len(sets[1][0]) - 20) <= 1
    train, valid, _ = imdb.load_data(path, valid_portion=0.)
    assert n_reviews(train) == [390, 10] and valid == ([], [])


def test_the_split_of_2014_is_as_it_was_where_no_class_is_short(tmp_path):
    """Bit for bit: a permutation of the kept reviews, then a sort."""
    train = ([[2] * (n % 17 + 1) + [n + 3] for n in range(1000)],
             [n % 2 for n in range(1000)])
    path = write_pickles(tmp_path / 'd.pkl', train, TEST)
    for seed, portion, maxlen in ((123, 0.05, None), (1, 0.1, 12), (7, 0.3, 9),
                                  (8, 0.05, None)):
        kept = [n for n in range(1000)
                if maxlen is None or len(train[0][n]) < maxlen]
        order = [kept[n] for n in numpy.random.RandomState(seed).permutation(
            len(kept))]
        n_train = int(numpy.round(len(kept) * (1. - portion)))
        expected = []
        for part in (order[:n_train], order[n_train:]):
            part = sorted(part, key=lambda n: len(train[0][n]))
            expected.append(([train[0][n] for n in part],
                             [train[1][n] for n in part]))
        assert imdb.load_data(path, 10 ** 6, portion, maxlen,
                              seed=seed)[:2] == tuple(expected)


def test_a_class_that_maxlen_removes_is_an_error(tmp_path, capsys):
    train = ([[2]] * 10 + [[2] * 50] * 9 + [[3] * 60],
             [0] * 10 + [1] * 10)
    path = write_pickles(tmp_path / 'd.pkl', train, TEST)
    with pytest.raises(ValueError, match='no training review of class 1 is '
                                         'left: maxlen=50 leaves out 10 of 20 '
                                         'training reviews; raise maxlen'):
        imdb.load_data(path, maxlen=50)
    train[0][15] = [2]
    path = write_pickles(tmp_path / 'd.pkl', train, TEST)
    imdb.load_data(path, maxlen=50, verbose=True)
    assert 'maxlen=50 leaves out 9 of 20 training reviews\n' in (
        capsys.readouterr().out)
    imdb.load_data(path, n_words=3, verbose=True)
    assert ('n_words=3 makes 12.7 % of the words in the training reviews '
            'unknown\n') in capsys.readouterr().out
    small_corpus(tmp_path / 'c', **{
        'train/bad/%d.txt' % n: 'long ' * 20 for n in range(3)})
    imdb.preprocess(tmp_path / 'c', tmp_path / 'named.pkl')
    with pytest.raises(ValueError, match='training review of class bad is '
                                         'left: maxlen=15 leaves out 3 of 6'):
        imdb.load_data(tmp_path / 'named.pkl', maxlen=15)


def test_a_data_file_names_its_classes(tmp_path):
    small_corpus(tmp_path / 'c')
    for split in ('train', 'test'):
        for old, new in (('good', 'enjoyed'), ('bad', 'hated')):
            os.rename(str(tmp_path / 'c' / split / old),
                      str(tmp_path / 'c' / split / new))
    path = tmp_path / 'd.pkl'
    imdb.preprocess(tmp_path / 'c', path, lang='fr')
    words = imdb.dataset_words(path)
    assert words.classes == ['enjoyed', 'hated']
    assert words.tokenizer == 'Moses (fr), text rule 2'  # it is remembered
    # A file of 2014 has no names: it is not believed to be neg and pos.
    imdb.write_data(path, TRAIN, TEST)
    assert imdb.dataset_words(path) == imdb.Corpus()
    assert imdb.class_names(None, 2, path) == ['class 0', 'class 1']
    assert imdb.class_names(None, 2, 'imdb') == ['neg', 'pos']


def test_paths_of_any_kind(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    small_corpus(tmp_path / 'c')
    imdb.preprocess(pathlib.Path('~') / 'c', '~/new/d.pkl')
    expected = imdb.read_data(str(tmp_path / 'new' / 'd.pkl'))
    for path in (tmp_path / 'new' / 'd.pkl', '~/new/d.pkl',
                 os.fsencode(str(tmp_path / 'new' / 'd.pkl')),
                 pathlib.Path('~/new/d.pkl')):
        assert imdb.read_data(path) == expected
        assert imdb.dataset_words(path).classes == ['bad', 'good']
        assert imdb.load_dataset(path) == imdb.load_data(path)
    assert imdb.read_reviews('~/c') == imdb.read_reviews(tmp_path / 'c')
    with pytest.raises(TypeError, match='5 is a int, not a path'):
        imdb.read_data(5)


# --------------------------------------------------------------------------
# Workers and output
# --------------------------------------------------------------------------

WORK = '''
import os, signal, sys, time
from lstm_support.corpora import workers

def work(n):
    %s
    return n * n

with workers.mapped(work, list(range(2000)), 3) as results:
    print(sum(results))
'''


def start_work(line, prepare=heed_signals):
    return subprocess.Popen(
        [sys.executable, '-c', WORK % line], cwd=ROOT, preexec_fn=prepare,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        universal_newlines=True)


def test_workers_give_results_in_order_and_errors():
    values = list(range(1234))
    for n in (1, 2, 3, 40):
        with workers.mapped(str, values, n) as results:
            assert list(results) == list(map(str, values))
    with pytest.raises(ValueError, match='invalid literal'):
        with workers.mapped(int, ['1'] * 300 + ['x'], 2) as results:
            list(results)
    assert not multiprocessing.active_children()


def test_as_many_workers_as_processors_allowed(tmp_path, monkeypatch):
    if hasattr(os, 'sched_getaffinity'):
        monkeypatch.setattr(os, 'sched_getaffinity', lambda _: {3, 5, 6})
        assert workers.processors() == 3
    asked = []
    real = workers.mapped

    def mapped(function, values, processes):
        asked.append((len(values), processes))
        return real(function, values, 1)
    monkeypatch.setattr(workers, 'mapped', mapped)
    small_corpus(tmp_path / 'few')
    imdb.preprocess(tmp_path / 'few', tmp_path / 'few.pkl')
    line = 'Some words.\n'
    write_texts(tmp_path / 'many', {
        'train/a.txt': line * 300, 'train/b.txt': line * 300,
        'test/a.txt': line, 'test/b.txt': line})
    imdb.preprocess(tmp_path / 'many', tmp_path / 'many.pkl')
    assert asked == [(12, 1), (602, workers.processors())]


def test_interrupts_while_workers_start_leave_no_process():
    """The pipes close when all processes have ended."""
    rng = random.Random(1)
    for _ in range(15):
        process = start_work('pass')
        time.sleep(rng.uniform(0.02, 0.4))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert process.returncode in (0, 1, -signal.SIGINT), err
        assert out in ('', '2664667000\n')
        # Before Python handles signals, it ends without a word.
        assert 'KeyboardInterrupt' in err or process.returncode != 1


def test_a_killed_worker_is_an_error():
    process = start_work('n == 1000 and os.kill(os.getpid(), signal.SIGKILL)')
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1 and out == ''
    assert 'RuntimeError: a process ended before its work was done' in err


def test_workers_end_with_a_killed_process():
    process = start_work('n or sys.stderr.write("!"); time.sleep(.001)')
    assert process.stderr.read(1) == '!'
    process.kill()
    out, err = process.communicate(timeout=60)  # until all ends are closed
    assert process.returncode == -signal.SIGKILL


def test_the_table_of_classes(tmp_path, capsys):
    small_corpus(tmp_path / 'c', **{u'train/caf\xe9 \x1b[31m/1.txt': 'Red.',
                                    u'test/caf\xe9 \x1b[31m/1.txt': 'Red!'})
    out = preprocessed(tmp_path / 'c', tmp_path / 'd.pkl', capsys)[2]
    assert out.splitlines()[1:5] == [
        u'class       train    test', u'bad             3       3',
        u'caf\xe9 [31m       1       1', u'good            3       3']


def test_output_that_cannot_be_written_ends_nothing(tmp_path):
    """A strict encoder, a pipe that ends, control characters in names."""
    small_corpus(tmp_path / u'c\xe9', **{
        u'train/caf\xe9/1.txt': 'Red.', u'test/caf\xe9/1.txt': 'Red!',
        u'train/\x1b]0;title\x07\u202e.png': b'x', u'two\nlines.txt': b'x'})
    command = '"%s" "%s/imdb.py" "$@"' % (sys.executable, ROOT)
    env = dict(os.environ, PYTHONIOENCODING='ascii:strict', LC_ALL='C.UTF-8')
    for n, (tail, status) in enumerate((
            ('', '0'), (' | head -1; echo ${PIPESTATUS[0]} >&2', '0'),
            (' >&-; echo $? >&2', '0'), (' > /dev/full; echo $? >&2', '0'))):
        path = tmp_path / ('%d.pkl' % n)
        done = subprocess.run(
            ['bash', '-c', command + tail, 'bash',
             str(tmp_path / u'c\xe9'), str(path)], env=env,
            cwd=str(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert done.returncode == 0, done.stderr
        assert n == 0 or done.stderr.split()[-1].decode() == status
        assert imdb.dataset_words(path).classes == ['bad', u'caf\xe9', 'good']
        assert b'\x1b' not in done.stdout and b'\x07' not in done.stdout
        if n == 0:
            lines = done.stdout.decode('ascii').splitlines()
            assert lines[0].startswith('Reading ') and '\\xe9' in lines[0]
            assert lines[1:3] == [
                'Left out: files not named .txt: 1, for example '
                'train/]0;title.png',
                'Left out: files outside of train, valid and test: 1, for '
                'example two lines.txt']
            assert 'caf\\xe9' in lines[5]


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


def test_an_empty_class_folder_is_said(tmp_path, capsys):
    small_corpus(tmp_path / 'c')
    (tmp_path / 'c' / 'train' / 'ugly').mkdir()
    out = preprocessed(tmp_path / 'c', tmp_path / 'd.pkl', capsys)[2]
    assert 'Left out: empty folders: 1, for example train/ugly\n' in out


def test_classes_that_look_the_same(tmp_path, capsys):
    """Accents that follow their letter are those of macOS."""
    small_corpus(tmp_path / 'c', **{
        u'train/caf\xe9/1.txt': 'A.', u'train/cafe\u0301/2.txt': 'B.',
        u'test/cafe\u0301/1.txt': 'C.', 'train/Good/1.txt': 'D.',
        'test/Good/1.txt': 'E.'})
    (train, _), words, out = preprocessed(tmp_path / 'c', tmp_path / 'd.pkl',
                                          capsys)
    assert words.classes == ['Good', 'bad', u'caf\xe9', 'good']
    assert n_reviews(train) == [1, 3, 2, 3]
    assert 'capitals only: 1, for example Good and good\n' in out
    write_texts(tmp_path / 'c', {'train/very good/1.txt': 'A.',
                                 'train/very  good/1.txt': 'B.'})
    with pytest.raises(ValueError, match="two classes that look the same, "
                                         "'very  good' and 'very good'"):
        imdb.preprocess(tmp_path / 'c', tmp_path / 'e.pkl')


def test_what_was_left_out_is_said_before_an_error(tmp_path, capsys):
    write_texts(tmp_path / 'c', {'train/a/1.md': 'x', 'train/b/1.md': 'y'})
    with pytest.raises(ValueError, match='has no training reviews'):
        imdb.preprocess(tmp_path / 'c', tmp_path / 'd.pkl')
    assert 'files not named .txt: 2, for example train/a/1.md\n' in (
        capsys.readouterr().out)


def test_files_that_a_link_leads_to_are_not_left_out(tmp_path, capsys):
    small_corpus(tmp_path / 'c')
    os.rename(str(tmp_path / 'c' / 'train' / 'bad'),
              str(tmp_path / 'c' / 'elsewhere'))
    os.symlink('../elsewhere', str(tmp_path / 'c' / 'train' / 'bad'))
    (train, _), _, out = preprocessed(tmp_path / 'c', tmp_path / 'd.pkl',
                                      capsys)
    assert n_reviews(train) == [3, 3] and 'Left out' not in out


@pytest.mark.parametrize('name, data, words', [
    ('r.jsonl', b'{"text": "a", "label": {"name": "b"}}',
     'line 1: the label must be a string or a number, not dict'),
    ('r.csv', b'PK\x03\x04' + b'\0' * 30, 'r.csv is a zip archive; unpack it'),
    ('r.csv', b'\x1f\x8b\x08', 'r.csv is compressed; unpack it first')])
def test_tables_of_another_kind(tmp_path, name, data, words):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=words):
        imdb.read_reviews(tmp_path / name)


def test_a_label_in_a_list_of_one_is_a_label(tmp_path):
    write_texts(tmp_path, {'r.jsonl': json_lines(
        [(text, [label]) for text, label in ROWS])})
    assert set(label for _, label, _ in imdb.read_reviews(
        tmp_path / 'r.jsonl')) == {'good', 'bad'}


def write_model(path, words, **options):
    files.write_npz(str(path), {
        'words': files.lines_array([u'', u''] + words),
        'options': files.text_array(options)})


def test_words_of_a_model_get_ids_after_those_of_the_corpus(tmp_path):
    for name, content in (('train/pos.txt', 'good good film'),
                          ('train/neg.txt', 'bad film'),
                          ('test/pos.txt', 'superb film'),
                          ('test/neg.txt', 'awful odd film')):
        path = tmp_path / 'c' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    write_model(tmp_path / 'm.npz', [u'film', u'awful', u'superb', u'dull'],
                tokenizer=imdb.TOKENIZER)
    out = subprocess.check_output(
        [sys.executable, os.path.join(ROOT, 'imdb.py'), 'c', 'x.pkl',
         '--model', 'm.npz'], cwd=str(tmp_path)).decode()
    assert '3 of them distinct' in out and 'train with --n_words 8' in out
    words = imdb.load_dictionary(str(tmp_path / 'x.pkl'))
    assert words == {'film': 2, 'good': 3, 'bad': 4, 'awful': 5, 'superb': 6,
                     'dull': 7}
    _, test = imdb.read_data(str(tmp_path / 'x.pkl'))
    assert test == ([[5, 1, 2], [6, 2]], [0, 1])


@pytest.mark.parametrize('words, options, said', [
    ([u'film'], {'tokenizer': 'another'}, "made with the tokenizer 'another'"),
    ([u'film'], {}, r"made with the tokenizer 'Moses \(English\), then lower"),
    (None, {}, 'holds no words')])
def test_a_model_of_other_words_is_refused(tmp_path, words, options, said):
    path = str(tmp_path / 'm.npz')
    write_model(path, words or [], **options)
    if words is None:
        files.write_npz(path, {'options': files.text_array(options)})
    with pytest.raises(ValueError, match=said):
        imdb.preprocess(os.path.join(ROOT, 'data', 'sample'),
                        str(tmp_path / 'x.pkl'), model=path)
    assert os.listdir(str(tmp_path)) == ['m.npz']
