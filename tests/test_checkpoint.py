"""What a training leaves on disk, whatever happens to it."""
import json
import os
import pickle
import random
import re
import signal
import subprocess
import sys
import time

import numpy
import pytest
import theano

import checkpoint
import lstm
from conftest import ROOT, heed_signals

HOW = dict(dim_proj=8, n_words=30, dispFreq=1, validFreq=10, saveFreq=7,
           max_epochs=4, batch_size=4, valid_batch_size=7, patience=100)


@pytest.fixture(scope='module')
def dataset(tmp_path_factory):
    """80 reviews of random words, with an empty one: 19 updates an epoch."""
    rng = numpy.random.RandomState(0)

    def some(n):
        return ([rng.randint(2, 30, rng.randint(0, 9)).tolist()
                 for _ in range(n)], rng.randint(0, 2, n).tolist())
    path = tmp_path_factory.mktemp('data') / 'small.pkl'
    path.write_bytes(pickle.dumps(some(80), 2) + pickle.dumps(some(30), 2))
    return str(path)


def contents(path):
    with numpy.load(str(path), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def same(one, other, but=('options', 'progress')):
    assert set(one) == set(other)
    for name, value in one.items():
        if name not in but:
            assert value.dtype == other[name].dtype
            assert value.tobytes() == other[name].tobytes(), name


class Training(object):
    """train_lstm in a process of its own."""

    def __init__(self, folder, before='', signals=heed_signals, **how):
        how = dict(HOW, **how)
        optimizer = how.pop('optimizer', lstm.adadelta).__name__
        self.process = subprocess.Popen(
            [sys.executable, '-u', '-c', 'import lstm\n%s\n'
             'lstm.train_lstm(optimizer=lstm.%s, **%r)'
             % (before, optimizer, how)], cwd=str(folder),
            env=dict(os.environ, PYTHONPATH=ROOT,
                     THEANO_FLAGS='floatX=' + theano.config.floatX + ',' +
                     os.environ.get('THEANO_FLAGS', '')),
            universal_newlines=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, preexec_fn=signals)
        self.lines = []

    def until(self, word):
        for line in self.process.stdout:
            self.lines.append(line)
            if word in line:
                return line
        raise AssertionError('%s did not come: %s' % (word, self.text()))

    def kill(self, number=signal.SIGKILL):
        self.process.send_signal(number)
        return self.end()

    def end(self):
        self.lines.extend(self.process.stdout)
        return self.process.wait()

    def text(self):
        return ''.join(self.lines)


# --------------------------------------------------------------------------
# Resuming
# --------------------------------------------------------------------------

@pytest.mark.parametrize('how', [
    {'optimizer': lstm.adadelta},
    {'optimizer': lstm.rmsprop, 'lrate': 0.01, 'pool_lengths': False,
     'word_dropout': 0.2},
    {'optimizer': lstm.sgd, 'lrate': 0.1, 'decay_c': 0.01, 'test_size': 9},
    {'optimizer': lstm.adam, 'lrate': 0.01, 'clip_c': 0.1},
], ids=['adadelta', 'rmsprop', 'sgd', 'adam'])
def test_a_killed_training_resumes_bit_for_bit(dataset, tmp_path, how,
                                               monkeypatch):
    monkeypatch.chdir(tmp_path)
    how = dict(HOW, dataset=dataset, **how)
    errors = lstm.train_lstm(**dict(how, saveto='whole.npz'))
    # Killed before the first save, in the second epoch and in the third.
    for update in (3, 25, 50):
        training = Training(tmp_path, **dict(how, saveto='killed.npz',
                                             resume=True))
        training.until('Update %d ' % update)
        assert training.kill() == -signal.SIGKILL
    assert 'Continuing killed.resume.npz after update 2' in training.text()
    assert lstm.train_lstm(
        **dict(how, saveto='killed.npz', resume=True)) == errors
    same(contents('whole.npz'), contents('killed.npz'))
    same(contents('whole.resume.npz'), contents('killed.resume.npz'))
    assert len(contents('whole.npz')['history_errs']) == 76 // 10
    assert sorted(os.listdir('.')) == [
        'killed.npz', 'killed.resume.npz', 'whole.npz', 'whole.resume.npz']


@pytest.mark.parametrize('number', [
    signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_saves_exits_and_resumes(dataset, tmp_path, number,
                                          monkeypatch):
    monkeypatch.chdir(tmp_path)
    how = dict(HOW, dataset=dataset)
    training = Training(tmp_path, **dict(how, saveto='a.npz'))
    training.until('Update 24 ')
    assert training.kill(number) == 128 + number
    assert 'Errors of the best parameters' in training.text()
    best = contents('a.npz')
    assert best['test_err'] <= 1 and len(best['history_errs']) == 2
    lstm.train_lstm(**dict(how, saveto='a.npz', resume=True))
    lstm.train_lstm(**dict(how, saveto='b.npz'))
    same(contents('a.npz'), contents('b.npz'))


def test_what_nohup_ignores_stays_ignored(dataset, tmp_path):
    training = Training(
        tmp_path, dataset=dataset,
        signals=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    training.until('Update 24 ')
    assert training.kill(signal.SIGHUP) == 0
    assert 'Update 76 ' in training.text()


def test_a_second_signal_exits_at_once(dataset, tmp_path):
    slow = ('real = lstm.pred_error\n'
            'def pred_error(*args):\n'
            '    print("evaluating"); import time; time.sleep(60)\n'
            'lstm.pred_error = pred_error')
    training = Training(tmp_path, slow, dataset=dataset)
    training.until('Update 8 ')
    training.process.send_signal(signal.SIGTERM)
    training.until('evaluating')
    start = time.time()
    assert training.kill(signal.SIGINT) == 130
    assert time.time() - start < 30
    # All of it was saved before the errors were to be known.
    assert numpy.isfinite(contents(tmp_path / 'lstm_model.npz')['Wemb']).all()
    contents(tmp_path / 'lstm_model.resume.npz')
    assert len(os.listdir(str(tmp_path))) == 2


def test_more_epochs_are_as_if_asked_for_at_first(dataset, tmp_path,
                                                  monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    how = dict(HOW, dataset=dataset)
    lstm.train_lstm(**dict(how, saveto='long.npz', max_epochs=3))
    lstm.train_lstm(**dict(how, saveto='short.npz', max_epochs=1))
    lstm.train_lstm(**dict(how, saveto='short.npz', max_epochs=3,
                           patience=99, resume=True))
    assert 'Continuing with another max_epochs: 3, which was 1' in (
        capsys.readouterr().out)
    same(contents('long.npz'), contents('short.npz'))


def test_nothing_to_resume_is_said(dataset, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    lstm.train_lstm(**dict(HOW, dataset=dataset, max_epochs=1, resume=True))
    assert 'no lstm_model.resume.npz to continue from' in (
        capsys.readouterr().out)


def test_resuming_with_other_terms_is_refused(dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    how = dict(HOW, dataset=dataset, max_epochs=1)
    lstm.train_lstm(**how)
    before = {name: (tmp_path / name).read_bytes() for name in os.listdir('.')}
    for changes, words in (
            ({'dim_proj': 9}, 'dim_proj=8, and now it is dim_proj=9'),
            ({'n_words': 31}, 'n_words=30, and now it is n_words=31'),
            ({'batch_size': 5, 'seed': 5}, 'batch_size=4, seed=123'),
            ({'optimizer': lstm.sgd}, 'optimizer=adadelta, .*optimizer=sgd'),
            ({'maxlen': 8}, 'maxlen=100, '),
            ({'use_dropout': False}, 'use_dropout=True'),
            ({'test_size': 20}, 'test_size=-1'),
            ({'pool_lengths': False}, 'pool_lengths=True')):
        with pytest.raises(ValueError, match=words):
            lstm.train_lstm(**dict(how, resume=True, **changes))
    with open(dataset, 'rb') as f:
        train, test = pickle.load(f), pickle.load(f)
    train[0][3].append(5)
    (tmp_path / 'other.pkl').write_bytes(
        pickle.dumps(train, 2) + pickle.dumps(test, 2))
    with pytest.raises(ValueError, match='data='):
        lstm.train_lstm(**dict(how, resume=True, dataset='other.pkl'))
    os.remove('other.pkl')
    assert before == {name: (tmp_path / name).read_bytes()
                      for name in os.listdir('.')}


def test_a_checkpoint_of_another_version_is_called_that(
        dataset, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    how = dict(HOW, dataset=dataset, max_epochs=1)
    lstm.train_lstm(**how)
    arrays = contents('lstm_model.resume.npz')
    # An option that it did not have is no change.
    progress = json.loads(str(arrays['progress']))
    del progress['options']['clip_c']
    arrays['progress'] = numpy.array(json.dumps(progress))
    numpy.savez('lstm_model.resume.npz', **arrays)
    lstm.train_lstm(**dict(how, resume=True))
    assert 'another' not in capsys.readouterr().out
    del arrays['state/0 Wemb']
    numpy.savez('lstm_model.resume.npz', **arrays)
    with pytest.raises(ValueError, match='another version of this script: it '
                                         'lacks state/0 Wemb'):
        lstm.train_lstm(**dict(how, resume=True))


def test_a_damaged_checkpoint_is_refused(dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    how = dict(HOW, dataset=dataset, max_epochs=1)
    lstm.train_lstm(**how)
    whole = contents('lstm_model.resume.npz')
    text = str(whole['progress'])
    place = int(re.search(r'"shuffle": \[(\d+)', text).group(1))
    accumulator = [name for name in whole if name.endswith('_rgrad2')][0]
    for changes, words in (
            ({'progress': None}, 'is damaged'),
            ({'progress': numpy.array(u'{')}, 'is damaged'),
            ({'progress': numpy.array(text.replace(
                '"shuffle": [%d' % place, '"shuffle": [625'))}, 'impossible'),
            ({'progress': numpy.array(text.replace(
                '"counters": [', '"counters": [-'))}, 'impossible'),
            ({'shuffle': numpy.zeros(5, 'uint32')}, 'another version'),
            ({'progress': numpy.array(re.sub(
                r'"costs": \[([^,]*), ', r'"costs": [\1, -', text))},
             'impossible'),
            ({'history': numpy.zeros((99, 5))}, 'no history'),
            ({accumulator: whole[accumulator][1:]}, 'another version'),
            ({accumulator: whole[accumulator].astype('float16')},
             'another version'),
            ({accumulator: None}, 'another version')):
        numpy.savez('lstm_model.resume.npz', **{
            name: value for name, value in dict(whole, **changes).items()
            if value is not None})
        with pytest.raises(ValueError, match=words):
            lstm.train_lstm(**dict(how, resume=True))


# --------------------------------------------------------------------------
# Saving
# --------------------------------------------------------------------------

def test_sixty_kills_around_saves(tmp_path):
    """The files are whole at any moment, and of one update each."""
    tparams = lstm.init_tparams(lstm.init_params(
        {'dim_proj': 32, 'n_words': 3000, 'ydim': 2}))
    model, state = str(tmp_path / 'm.npz'), str(tmp_path / 'm.resume.npz')

    def save_on(update):
        """Save the states of this update and of the next, until killed."""
        now = checkpoint.Progress(tparams, (), numpy.random.RandomState(0))
        now.update = update
        while True:
            for shared in tparams.values():
                shared.set_value(0 * shared.get_value() + now.update)
            now.best_params, now.best_err = lstm.get_values(tparams), 0.5
            now.save(state, {})
            lstm.save_model(model, now.best_params, [], {})
            now.update += 1

    rng = random.Random(0)
    updates = set()
    for n in range(60):
        child = os.fork()
        if not child:
            try:
                save_on(1000 * n)
            finally:
                os._exit(1)
        while not os.path.exists(model):
            time.sleep(0.01)
        time.sleep(0.2 * rng.random())
        os.kill(child, signal.SIGKILL)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
        for path, names in (
                (model, ['%s'] * 6), (state, ['state/%d %s', 'best/%s'])):
            found = contents(path)
            numbers = {value.flat[0] for name, value in found.items()
                       if value.dtype == theano.config.floatX
                       and value.size and 'history' not in name}
            sizes = [value.min() == value.max() for name, value in
                     found.items() if name in tparams or '/' in name]
            assert all(sizes) and len(sizes) >= 6
            assert len(numbers) == 1, numbers
            updates.update(numbers)
    assert len(updates) > 10  # kills came at different moments
    left = set(os.listdir(str(tmp_path)))
    assert left - {'m.npz', 'm.resume.npz', 'm.npz.partial',
                   'm.resume.npz.partial'} == set()


LIMIT = '''
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, -1))
real = lstm.adadelta
def adadelta(*args):
    f_grad_shared, f_update = real(*args)
    count = [0]
    def limited(lr):
        count[0] += 1
        if count[0] in LIMITS:
            limit(LIMITS[count[0]])
        f_update(lr)
    limited.get_shared = f_update.get_shared
    return f_grad_shared, limited
lstm.adadelta = adadelta
'''


def test_training_goes_on_while_the_disk_is_full(dataset, tmp_path):
    training = Training(tmp_path, LIMIT + 'LIMITS = {9: 2000, 16: -1}',
                        dataset=dataset, max_epochs=1)
    training.until('NOT saved')
    before = contents(tmp_path / 'lstm_model.npz')  # that of update 7
    assert training.end() == 0, training.text()
    assert training.text().count('NOT saved') == 1
    after = contents(tmp_path / 'lstm_model.npz')
    assert 'test_err' in after and 'test_err' not in before
    assert sorted(os.listdir(str(tmp_path))) == [
        'lstm_model.npz', 'lstm_model.resume.npz']


def test_a_disk_that_stays_full_leaves_what_was_saved(dataset, tmp_path):
    training = Training(tmp_path, LIMIT + 'LIMITS = {9: 2000}',
                        dataset=dataset, max_epochs=1)
    training.until('NOT saved')
    before = {name: (tmp_path / name).read_bytes()
              for name in ('lstm_model.npz', 'lstm_model.resume.npz')}
    assert training.end() == 1
    assert 'lstm_model.npz cannot be saved' in training.text()
    assert before == {name: (tmp_path / name).read_bytes()
                      for name in os.listdir(str(tmp_path))}


def test_the_last_model_goes_elsewhere_if_it_must(dataset, tmp_path, capsys,
                                                  monkeypatch):
    monkeypatch.chdir(tmp_path)
    real = lstm.save_model

    def save_model(path, *args, **errors):
        if errors and path == 'lstm_model.npz':
            raise IOError('No space left on device')
        real(path, *args, **errors)
    monkeypatch.setattr(lstm, 'save_model', save_model)
    lstm.train_lstm(**dict(HOW, dataset=dataset, max_epochs=1))
    path = re.findall('Saved (.*)', capsys.readouterr().out)[-1]
    assert 'test_err' in contents(path) and path != 'lstm_model.npz'


def test_a_small_disk_is_seen_before_training(dataset, tmp_path):
    disk = str(tmp_path / 'disk')
    os.mkdir(disk)
    if subprocess.call(['mount', '-t', 'tmpfs', '-o', 'size=16k', 'tmpfs',
                        disk], stderr=subprocess.DEVNULL):
        pytest.skip('this user cannot mount a small disk')
    try:
        with pytest.raises(IOError, match='MB free in the folder of saveto'):
            lstm.train_lstm(**dict(HOW, dataset=dataset,
                                   saveto=disk + '/m.npz'))
        assert os.listdir(disk) == []
    finally:
        subprocess.check_call(['umount', disk])


def test_places_where_nothing_can_be_saved(dataset, tmp_path):
    os.mkdir(str(tmp_path / 'folder.npz'))
    os.mkdir(str(tmp_path / 'locked'), 0o555)
    places = [('none/m.npz', ValueError, 'none, does not exist; make it'),
              ('folder.npz', ValueError, 'is a folder'),
              ('/proc/m.npz', IOError, 'nothing can be written')]
    if os.getuid():  # root may write anywhere
        places.append(('locked/m.npz', IOError, 'nothing can be written'))
    for saveto, error, words in places:
        start = time.time()
        with pytest.raises(error, match=words):
            lstm.train_lstm(**dict(HOW, dataset=dataset, saveto=os.path.join(
                str(tmp_path), saveto)))
        assert time.time() - start < 1


def test_files_of_earlier_trainings_stay(dataset, tmp_path, monkeypatch,
                                         capsys):
    monkeypatch.chdir(tmp_path)
    kept = []
    for seed in (1, 2, 3):
        lstm.train_lstm(**dict(HOW, dataset=dataset, max_epochs=1, seed=seed))
        kept.append([(tmp_path / name).read_bytes() for name in (
            'lstm_model.npz', 'lstm_model.resume.npz')])
    assert 'of an earlier training stays as lstm_model.2.npz' in (
        capsys.readouterr().out)
    for number in (1, 2):
        names = [name % number for name in (
            'lstm_model.%d.npz', 'lstm_model.%d.resume.npz')]
        assert kept[number - 1] == [(tmp_path / name).read_bytes()
                                    for name in names]
    assert len(os.listdir('.')) == 6
    # And any of them can be continued.
    lstm.train_lstm(**dict(HOW, dataset=dataset, max_epochs=2, seed=1,
                           saveto='lstm_model.1.npz', resume=True))


def test_two_trainings_cannot_save_to_one_file(dataset, tmp_path):
    first = Training(tmp_path, dataset=dataset, max_epochs=10 ** 6)
    first.until('Update 1 ')
    second = Training(tmp_path, dataset=dataset)
    assert second.end() == 1
    assert 'another training is saving to lstm_model.npz' in second.text()
    assert first.kill() == -signal.SIGKILL
    # The lock of a killed process is none, though its file is there.
    assert (tmp_path / 'lstm_model.npz.lock').exists()
    lstm.train_lstm(**dict(HOW, dataset=dataset, max_epochs=1,
                           saveto=str(tmp_path / 'lstm_model.npz')))
    assert not (tmp_path / 'lstm_model.npz.lock').exists()


def test_eight_processes_and_one_lock(tmp_path):
    """However often it is taken and let go of, one has it at a time."""
    code = ('import os, sys, time, checkpoint\n'
            'won, end = 0, time.time() + 4\n'
            'while time.time() < end:\n'
            '    try:\n'
            '        with checkpoint.sole_writer("m.npz"):\n'
            '            os.mkdir("inside"); won += 1; os.rmdir("inside")\n'
            '    except IOError as error:\n'
            '        assert "another training" in str(error), error\n'
            'print(won)')
    processes = [subprocess.Popen(
        [sys.executable, '-c', code], cwd=str(tmp_path),
        env=dict(os.environ, PYTHONPATH=ROOT), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE) for _ in range(8)]
    won = 0
    for process in processes:
        out, err = process.communicate()
        assert process.returncode == 0, err
        won += int(out)
    assert won > 100
