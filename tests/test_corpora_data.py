"""imdb.py: words, preprocessing, loading, minibatches."""
import collections
import gzip
import itertools
import os
import pathlib
import pickle
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy
import pytest

import imdb
from conftest import ROOT, heed_signals, run_python, write_data
from graphs import write_model
from lstm_support import storage, text as text_rules

SAMPLE = os.path.join(ROOT, 'data', 'sample')
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


def write_texts(folder, texts):
    """Write texts into files, by their names; bytes go in as they are."""
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes)
                         else text.encode('utf-8'))
    return folder


@pytest.fixture
def corpus(tmp_path):
    """A folder in the layout of the distribution."""
    return write_texts(tmp_path / 'aclImdb', REVIEWS)


def write_archive(folder, form='gztar'):
    """Write a folder into an archive a.* next to it; return its path."""
    return shutil.make_archive(str(folder.parent / 'a'), form,
                               str(folder.parent), folder.name)


def write_pickles(path, *objects, **kwargs):
    """Write objects one after the other; bytes go in as they are."""
    with open(str(path), 'wb') as f:
        for value in objects:
            f.write(value if isinstance(value, bytes)
                    else pickle.dumps(value, kwargs.get('protocol', 2)))
    return str(path)


LINES = {'good': ['The film was great.', 'Superb and warm.', 'So funny.'],
         'bad': ['The film was dull.', 'Weak and cold.', 'So boring.']}


def small_corpus(folder, n=3, **more):
    """Write train and test of two classes, one file per review."""
    texts = dict(('%s/%s/%d.txt' % (split, label, k),
                  LINES[label][k % 3] + ' %s %d' % (split, k))
                 for split in ('train', 'test') for label in LINES
                 for k in range(n))
    return write_texts(folder, dict(texts, **more))


def n_reviews(split_set):
    """Return the number of reviews of each class."""
    return numpy.bincount(split_set[1]).tolist()


# ---- Words and preprocessing ------------------------------------------------

def test_encode_numbers_words_and_marks_unknown_ones():
    dictionary = {'good': 5, 'great': 2, ',': 3}
    assert imdb.encode('Good, not GREAT', dictionary) == [5, 3, 1, 2]
    assert imdb.encode('Good, great', dictionary, n_words=5) == [1, 3, 2]


def test_preprocess_ranks_words_by_training_frequency(corpus, tmp_path):
    path = str(tmp_path / 'out' / 'my.pkl')
    imdb.preprocess(str(corpus), path)
    dictionary = imdb.load_dictionary(path)
    ranked = sorted(dictionary, key=dictionary.get)
    # The full stop, "a" and "film" occur three times, "fine" and "love"
    # twice; "unseen" is in no training review.
    assert ranked[:5] == ['.', 'a', 'film', 'fine', 'love']
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
    assert test_x == [[1, 1, dictionary['dull'], 1], [dictionary['fine'], 1]]
    assert described == {
        'words': ranked, 'valid': None, 'classes': ['neg', 'pos'],
        'tokenizer': imdb.TOKENIZER, 'groups': None}


def test_archive_folder_and_rerun_give_the_same_bytes(corpus, tmp_path):
    written = set()
    for source in corpus, write_archive(corpus), corpus:
        imdb.preprocess(str(source), str(tmp_path / 'd.pkl'))
        written.add((tmp_path / 'd.pkl').read_bytes())
        (tmp_path / 'd.pkl').unlink()
    assert len(written) == 1
    assert sorted(os.listdir(str(tmp_path))) == ['a.tar.gz', 'aclImdb']


def run(folder, *args, **env):
    return run_python(os.path.join(ROOT, 'imdb.py'), *args, cwd=str(folder),
                      env=env)


def test_command_line(corpus, tmp_path):
    code, out, error = run(tmp_path, 'aclImdb')
    assert code == 0, error
    assert out.splitlines() == [
        'Reading aclImdb',
        'Left out: reviews without a label (unsup): 1, for example '
        'train/unsup/0_0.txt',
        'Groups are not used: urls_CLASS.txt has no line for a training '
        'review: 1, for example train/neg/0_2.txt',
        'Left out: texts without a word: 1, for example one of test neg',
        'Warning: classes of one or two training texts: 2, for example neg',
        'class   train    test', 'neg         2       1',
        'pos         2       1',
        '25 words in the training reviews, 17 of them distinct',
        'Wrote data/imdb.pkl']
    assert os.listdir(str(tmp_path / 'data')) == ['imdb.pkl']
    code, _, error = run(tmp_path, 'aclImdb')
    assert code == 1
    assert error.startswith('imdb.py: data/imdb.pkl already exists; ')
    with pytest.raises(ValueError, match=r'must be named \*\.pkl'):
        imdb.preprocess(corpus, 'x.txt')


def test_what_was_left_out_is_said_before_an_error(tmp_path, capsys):
    write_texts(tmp_path / 'c', {'train/a/1.md': 'x', 'train/b/1.md': 'y'})
    with pytest.raises(ValueError, match='and has none; .*train/CLASS'):
        imdb.preprocess(tmp_path / 'c', tmp_path / 'd.pkl')
    assert 'files not named .txt: 2, for example train/a/1.md\n' in (
        capsys.readouterr().out)


def test_texts_without_a_word_are_no_corpus(tmp_path):
    write_texts(tmp_path, dict(
        ('%s/%s/%d.txt' % (split, label, n), ' \n'[n % 2])
        for split in ('train', 'test') for label in ('a', 'b')
        for n in range(15)))
    with pytest.raises(ValueError, match='needs training reviews of two or '
                                         'more classes, and has none'):
        imdb.preprocess(tmp_path, tmp_path / 'd.pkl')
    assert sorted(os.listdir(str(tmp_path))) == ['test', 'train']


def test_texts_in_train_and_test_are_counted(tmp_path, capsys):
    small_corpus(tmp_path / 'c', **{
        'train/good/7.txt': 'The same.', 'test/good/7.txt': 'the  SAME.',
        'test/bad/7.txt': 'The same.', 'valid/good/1.txt': 'The same.',
        'valid/bad/1.txt': 'Not the same.'})
    imdb.preprocess(tmp_path / 'c', tmp_path / 'd.pkl')
    out = capsys.readouterr().out
    assert ("Test reviews with the same words as a training review: 2, for "
            "example 'The same.'\n") in out
    assert ("Validation reviews with the same words as a training review: 1, "
            "for example 'The same.'\n") in out


def test_output_that_cannot_be_written_ends_nothing(tmp_path):
    """A strict encoder, control characters in names, a pipe that ends."""
    small_corpus(tmp_path / 'c\xe9', **{
        'train/caf\xe9/1.txt': 'Red.', 'test/caf\xe9/1.txt': 'Red!',
        'train/\x1b]0;title\x07\u202e.png': b'x', 'two\nlines.txt': b'x'})
    command = '"%s" "%s/imdb.py" c? ' % (sys.executable, ROOT)
    env = dict(os.environ, PYTHONIOENCODING='ascii:strict', LC_ALL='C.UTF-8')
    printed = [subprocess.check_output(
        ['bash', '-o', 'pipefail', '-c', command + rest], env=env,
        cwd=str(tmp_path)).decode('ascii')
        for rest in ('0.pkl', '1.pkl | head -1')]
    lines = printed[0].splitlines()
    assert lines[0] == printed[1].rstrip() == 'Reading c\\xe9'
    assert lines[1:3] == [
        'Left out: files not named .txt: 1, for example train/]0;title.png',
        'Left out: files outside of train, valid and test: 1, for example '
        'two lines.txt']
    assert any(line.startswith('caf\\xe9 ') for line in lines)
    assert imdb.dataset_words(tmp_path / '1.pkl').classes == [
        'bad', 'caf\xe9', 'good']


def test_words_of_a_model_get_ids_after_those_of_the_corpus(tmp_path, capsys):
    write_texts(tmp_path / 'c', {
        'train/pos.txt': 'good good film', 'train/neg.txt': 'bad film',
        'test/pos.txt': 'superb film', 'test/neg.txt': 'awful odd film'})
    write_model(tmp_path / 'm.npz', claims={'tokenizer': imdb.TOKENIZER},
                words=storage.words_array(
                    dict(film=2, awful=3, superb=4, dull=5), 6))
    imdb.preprocess(tmp_path / 'c', tmp_path / 'x.pkl',
                    model=tmp_path / 'm.npz')
    out = capsys.readouterr().out
    assert '3 of them distinct' in out and 'train with --n_words 8' in out
    assert imdb.load_dictionary(tmp_path / 'x.pkl') == {
        'film': 2, 'good': 3, 'bad': 4, 'awful': 5, 'superb': 6, 'dull': 7}
    assert imdb.read_data(tmp_path / 'x.pkl')[1] == (
        [[5, 1, 2], [6, 2]], [0, 1])


@pytest.mark.parametrize('changes, claims, said', [
    ({}, {'tokenizer': 'another'}, "made with the tokenizer 'another'"),
    ({}, {}, r"made with the tokenizer 'Moses \(English\), then lower"),
    ({'words': None}, {}, 'lacks words')])
def test_a_model_of_other_words_is_refused(tmp_path, changes, claims, said):
    write_model(tmp_path / 'm.npz', claims=claims, **changes)
    with pytest.raises(ValueError, match=said):
        imdb.preprocess(SAMPLE, tmp_path / 'x.pkl', model=tmp_path / 'm.npz')
    assert os.listdir(str(tmp_path)) == ['m.npz']


def test_real_archive(real_data):
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


# ---- Processes --------------------------------------------------------------

def test_processes_agree_with_one_and_keep_the_order():
    reviews = imdb.read_reviews(SAMPLE)
    assert len(reviews) > 500 and imdb.encode_reviews(
        reviews, 2) == imdb.encode_reviews(reviews, 1)


@pytest.mark.parametrize('send', [os.kill, os.killpg])
def test_ctrl_c_ends_all_processes(tmp_path, send):
    """It may come while they start and while they work.

    A terminal sends it to all processes.
    """
    line = 'It is not a film that I would see again, is it?\n'
    write_texts(tmp_path, {
        'train/neg.txt': line * 50000, 'train/pos.txt': line * 50000,
        'test/neg.txt': line, 'test/pos.txt': line})
    for seconds in 0.05, 0.5, 2.:
        process = subprocess.Popen(
            [sys.executable, '-u', os.path.join(ROOT, 'imdb.py'), '.'],
            cwd=str(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            universal_newlines=True, preexec_fn=heed_signals,
            start_new_session=True)
        assert process.stdout.readline() == 'Reading .\n'
        time.sleep(seconds)
        send(process.pid, signal.SIGINT)
        # Its processes hold the pipes, too: this waits until all have ended.
        _, err = process.communicate(timeout=60)
        assert process.returncode == 130
        assert err == 'imdb.py: interrupted; data/imdb.pkl was not written\n'
        assert sorted(os.listdir(str(tmp_path))) == ['test', 'train']


def test_a_killed_process_is_an_error(tmp_path):
    code = ("import os, signal\nfrom lstm_support import text\n"
            "def tokenize(review, tokenizer):\n"
            "    'x' in review and os.kill(os.getpid(), signal.SIGKILL)\n"
            "    return review.split()\n"
            "def run():\n"
            "    text.tokenize = tokenize\n"
            "    from lstm_support.corpora import preprocessing\n"
            "    list(preprocessing.tokenized(['a'] * 999 + ['x'], '', 2))\n")
    write_texts(tmp_path, {'job.py': code})
    status, _, error = run_python(
        '-c', 'import job; job.run()', cwd=str(tmp_path),
        env={'PYTHONPATH': ROOT}, timeout=60)
    assert status == 1
    assert 'A worker process managed by the executor' in error


# ---- The sample -------------------------------------------------------------

def test_sample_is_what_its_description_says():
    """A phrase of six words is in two reviews at most."""
    reviews = imdb.read_reviews(SAMPLE)
    counts = collections.Counter(review[:2] for review in reviews)
    assert counts['train', 'pos'] == counts['train', 'neg'] >= 240
    assert counts['test', 'pos'] == counts['test', 'neg'] >= 60
    words = [re.sub('[.,]', ' ', review.text.lower()).split()
             for review in reviews]
    assert all(15 <= len(each) <= 95 for each in words)
    phrases = collections.Counter(itertools.chain.from_iterable(
        set(zip(*[each[k:] for k in range(6)])) for each in words))
    assert max(phrases.values()) <= 2


# ---- Loading ----------------------------------------------------------------

TRAIN = ([[n + 2] * (n + 1) for n in range(20)], [n % 2 for n in range(20)])
TEST = ([[2, 300, 4], [5]], [1, 0])


def load(path, valid_portion=0.25, sort_by_len=False, **options):
    return imdb.load_data(str(path), valid_portion=valid_portion,
                          sort_by_len=sort_by_len, **options)


def as_sorted(*sets):
    return sorted(pair for x, y in sets for pair in zip(x, y))


def test_load_data_splits_and_cuts(tmp_path):
    unseen = ([[], [2, 9, 10, 2 ** 31 - 1], [], [9]], [1, 0, 1, 0])
    path = write_pickles(tmp_path / 'd.pkl', TRAIN, unseen)
    train, valid, test = load(path, n_words=2 ** 31)
    assert len(train[0]) == 15 and len(valid[0]) == 5
    assert as_sorted(train, valid) == as_sorted(TRAIN)
    assert test == unseen
    train, valid, test = load(path, n_words=10, maxlen=12)
    assert sorted(map(len, train[0] + valid[0])) == list(range(1, 12))
    assert set(sum(train[0] + valid[0], [])) == {1} | set(range(2, 10))
    assert test[0] == [[], [2, 9, 1, 1], [], [9]]
    for part in load(path, sort_by_len=True):
        assert list(map(len, part[0])) == sorted(map(len, part[0]))


def test_a_split_depends_on_the_seed_alone_and_makes_new_lists(tmp_path):
    path = write_pickles(tmp_path / 'd.pkl', TRAIN, TEST)
    state = numpy.random.get_state()[1].tolist()
    first = load(path, seed=1)
    assert first == load(path, seed=1) != load(path, seed=2)
    assert numpy.random.get_state()[1].tolist() == state
    sample = imdb.load_data(None, n_words=50)
    imdb.load_data(None, n_words=50)[0][0][0].append(7)
    assert imdb.load_data(None, n_words=50) == sample
    assert type(sample[0][0][0][0]) is int and type(sample[0][1]) is list


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol_loads(tmp_path, protocol):
    train = ([[]] + TRAIN[0], [0] + TRAIN[1])
    path = write_pickles(tmp_path / 'd.pkl', train, TEST, protocol=protocol)
    assert imdb.read_data(path) == (train, TEST)


def test_files_of_python_2_load(tmp_path):
    """Protocols 0 and 2 of cPickle."""
    for data in (b'((lp1\n(lp2\nI2\naI3\naa(lp3\nI4\naa(lp4\nI1\naI0\nat.',
                 b'\x80\x02](](K\x02K\x03e]K\x04ae](K\x01K\x00e\x86.'):
        path = write_pickles(tmp_path / 'd.pkl', data, data)
        train, valid, test = load(path, valid_portion=0.)
        assert as_sorted(train) == [([2, 3], 1), ([4], 0)]
        assert test == ([[2, 3], [4]], [1, 0])
    write_pickles(tmp_path / 'words.pkl', b'\x80\x02}q\x01U\x05caf\xc3\xa9'
                                          b'q\x02K\x02s.')
    assert imdb.load_dictionary(tmp_path / 'words.pkl') == {'caf\xe9': 2}


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
    (([[2], 5], [1, 0]), 'training review 1 is not a list of word'),
    (([[2, 2.5]], [1]), 'review 0 is not a list of word ids'),
    (([[2, -4]], [1]), 'negative number'),
    (([[2]], ['pos']), 'labels are not whole numbers'),
    (([[2]],), 'not a pair'), ({'x': 1}, 'not a pair'),
    ((3, 4), 'in place of a list')])
def test_what_is_no_data_set_is_refused(tmp_path, train, words):
    with pytest.raises(ValueError, match=words):
        load(write_pickles(tmp_path / 'd.pkl', train, TEST))


def test_data_sets_by_name(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    sample = imdb.load_data(None, n_words=50)
    assert imdb.load_dataset('sample', n_words=50) == sample
    words = imdb.dataset_words('sample')
    assert words == imdb.encode_sample()._replace(
        train=None, valid=None, test=None)
    assert words.classes == ['neg', 'pos']
    assert capsys.readouterr().out == ''
    for name, file_name in (('imdb', 'imdb.pkl'), ('my.pkl', 'my.pkl')):
        write_data(file_name, TRAIN, TEST)
        assert imdb.data_path(name) == file_name
        assert imdb.load_dataset(name, seed=3) == imdb.load_data(
            file_name, seed=3)
    assert capsys.readouterr().out == ''
    assert imdb.dataset_words('my.pkl') == imdb.Corpus()
    write_pickles('my.dict.pkl', {'w': 2}, {'a': 0, 'b': 1})
    assert imdb.dataset_words('my.pkl') == imdb.Corpus(
        dictionary={'w': 2}, classes=['a', 'b'], tokenizer=text_rules.OLD)
    with pytest.raises(ValueError, match='my.dict.pkl.*dictionary; name'):
        imdb.load_dataset('my.dict.pkl')
    with pytest.raises(IOError, match='nowhere.pkl is neither here'):
        imdb.load_dataset('nowhere.pkl')


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
    path = tmp_path / 'd.pkl'
    imdb.preprocess(tmp_path / 'c', path, lang='fr')
    words = imdb.dataset_words(path)
    assert words.classes == ['bad', 'good']
    assert words.tokenizer == 'Moses (fr), text rule 2'  # it is remembered
    # A file of 2014 has no names: it is not believed to be neg and pos.
    write_data(path, TRAIN, TEST)
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
    with pytest.raises(TypeError, match='not int'):
        imdb.read_data(5)


# ---- Minibatches ------------------------------------------------------------

@pytest.mark.parametrize('seqs, maxlen, kept, x, mask', [
    ([[5, 6, 7], [8], []], None, [0, 1, 2],
     [[5, 8, 0], [6, 0, 0], [7, 0, 0]], [[1, 1, 0], [1, 0, 0], [1, 0, 0]]),
    ([[5, 6, 7], [8]], 3, [1], [[8]], [[1]]),
    ([[], []], None, [0, 1], [[0, 0]], [[0, 0]]), ([], None, None, 0, 0),
    ([[5, 6, 7]], 3, None, 0, 0)])
def test_prepare_data_pads_at_the_end(seqs, maxlen, kept, x, mask):
    """Long reviews are left out; empty ones make a row of padding."""
    from theano import config
    made = imdb.prepare_data(seqs, list('abc'[:len(seqs)]), maxlen)
    if kept is None:
        assert made == (None, None, None)
        return
    assert made[0].tolist() == x and made[1].tolist() == mask
    assert list(made[2]) == ['abc'[n] for n in kept]
    assert made[0].dtype == 'int64' and made[1].dtype == config.floatX


def test_drop_words_takes_a_word_from_all_places_of_a_review():
    x = numpy.tile(2 + numpy.arange(1800)[:, None] % 900, (1, 50))
    mask = (numpy.arange(1800)[:, None] < numpy.arange(1750, 1800)) * 1.
    x[mask == 0] = 0
    dropped = imdb.drop_words(x, mask, 0.3, [123, 7])
    changed = dropped != x
    assert dropped.dtype == x.dtype
    assert (dropped[changed] == imdb.UNKNOWN).all()
    assert not changed[mask == 0].any()
    assert (changed[:850] == changed[900:1750]).all()
    # Some 45,000 words of reviews: three standard deviations are 0.007.
    assert abs(changed[:900].mean() - 0.3) < 0.007
    numpy.testing.assert_array_equal(
        imdb.drop_words(x, mask, 0.3, [123, 7]), dropped)
    assert (imdb.drop_words(x, mask, 0.3, [123, 8]) != dropped).any()


def test_import_reads_and_prints_nothing():
    code = ('import sys, numpy; before = numpy.random.get_state()[1].tolist();'
            'import imdb, lstm; '
            'assert before == numpy.random.get_state()[1].tolist(); import '
            'classify; assert "pandas" not in sys.modules')
    assert run_python('-W', 'error::UserWarning', '-c', code) == (0, '', '')
