"""The files of a training: resuming, signals, faults, the lock."""
import contextlib
import fcntl
import functools
import io
import os
import pathlib
import pickle
import random
import re
import signal
import struct
import termios
import time
from concurrent import futures

import numpy
import pytest
import theano

import lstm
from conftest import TINY, assert_same, contents, updates_in, write_data
from graphs import OPTIONS, write_model
from lstm_support.training import report, state as checkpoint

# 76 training reviews: 19 updates per epoch, 76 in all.
SMALL = dict(TINY, dispFreq=1, saveFreq=7, max_epochs=4, patience=100)
FILES = ['lstm_model.npz', 'lstm_model.resume.npz']
# Options that add to the graph, to the state or to the training.
ALL = dict(encoder='bilstm', pooling='both', average=0.95, schedule='linear',
           word_dropout=0.3, clip_c=1., optimizer='adam', lrate=0.03)


def files_in(folder='.'):
    """Contents of all files but locks, by name."""
    return {path.name: path.read_bytes()
            for path in pathlib.Path(str(folder)).iterdir()
            if path.is_file() and path.suffix != '.lock'}


def assert_same_files(one, other):
    """Compare the model and the state of two trainings, to the bit."""
    for ending in ('.npz', '.resume.npz'):
        assert_same(contents(one + ending), contents(other + ending))
        options = [lstm.load_options(name + ending) for name in (one, other)]
        assert options[0] == dict(options[1], saveto=options[0]['saveto'],
                                  resume=options[0]['resume'])


@pytest.fixture
def train(train):
    return functools.partial(train, **SMALL)


@pytest.fixture(scope='module')
def complete(dataset, tmp_path_factory):
    """Train without a break; returns the path, less its ending, and errors."""
    @functools.lru_cache(maxsize=None)
    def trained(**options):
        path = str(tmp_path_factory.mktemp('complete') / 'm')
        return path, lstm.train_lstm(**dict(
            SMALL, dataset=dataset, saveto=path + '.npz', **options))
    return trained


@pytest.fixture
def held(start, dataset):
    """Start a training, and return it when it waits after an update."""
    def run(update, code='', **options):
        training = start(at={update: 'hold()' + code}, **dict(
            SMALL, dataset=dataset, **options))
        training.until('held')
        return training
    return run


# ---- Resuming ---------------------------------------------------------------

@pytest.mark.parametrize('options, kills', [
    # Before the first save, in the second epoch and in the third.
    ({'word_dropout': 0.2, 'clip_c': 0.1}, (3, 25, 50)),
    ({'optimizer': 'rmsprop', 'lrate': 0.01, 'average': 0.9}, (25,)),
    ({'optimizer': 'sgd', 'lrate': 0.1, 'decay_c': 0.01, 'test_size': 9,
      'pool_lengths': False, 'use_dropout': False}, (38,)),
    (ALL, (9,))], ids=['adadelta', 'rmsprop', 'sgd', 'all'])
def test_a_killed_training_resumes_bit_for_bit(train, held, complete, options,
                                               kills):
    whole, errors = complete(**options)
    last_save = 0
    for update in kills:
        training = held(update, saveto='killed.npz', resume=True, **options)
        assert training.kill() == -signal.SIGKILL
        assert ('Continuing killed.resume.npz after update %d\n' % last_save
                if last_save else 'to continue from') in training.text()
        last_save = update // 7 * 7
    assert train(saveto='killed.npz', resume=True, **options) == errors
    assert_same_files(whole, 'killed')
    assert len(contents('killed.npz')['history_errs']) == 76 // 10
    assert sorted(files_in()) == ['killed.npz', 'killed.resume.npz']
    names = {name.split('/')[-1] for name in contents('killed.resume.npz')}
    assert {'Wemb_average', 'Wemb_averaged', 'U_averaged'} <= names or (
        not options.get('average'))


def test_more_epochs_are_as_if_they_were_set_at_first(train, complete, capsys):
    train(max_epochs=1)
    train(patience=99, resume=True)
    assert 'Continuing with another max_epochs: 4, which was 1' in (
        capsys.readouterr().out)
    assert_same(contents(complete()[0] + '.npz'), contents('lstm_model.npz'))


@pytest.mark.parametrize('options, ended_by', [
    ({}, 'max_epochs'), ({'patience': 0}, 'patience')])
def test_a_training_that_has_ended_does_no_update_when_resumed(
        train, capsys, options, ended_by):
    """It says what to raise."""
    errors = train(**options)
    before = files_in()
    out = capsys.readouterr().out
    assert ('Update 76 ' in out) == (ended_by == 'max_epochs')
    assert 'to go on' not in out
    assert train(resume=True, **options) == errors
    out = capsys.readouterr().out
    assert re.findall('to go on, raise (.*)', out) == [ended_by]
    assert '0 updates in 0 epochs' in out and 'Cost' not in out
    assert sorted(before) == FILES
    for name, data in before.items():
        assert_same(contents(io.BytesIO(data)), contents(name))


def test_resuming_ignores_the_model_that_the_training_started_from(train):
    numpy.savez('first.npz', **lstm.init_params(dict(TINY, ydim=2, seed=77)))
    train(saveto='complete.npz', max_epochs=2, reload_model='first.npz')
    train(saveto='m.npz', max_epochs=1, reload_model='first.npz')
    os.remove('first.npz')
    train(saveto='m.npz', max_epochs=2, reload_model='first.npz', resume=True)
    assert_same(contents('complete.npz'), contents('m.npz'))


def test_resuming_with_other_data_or_shapes_is_refused(train, dataset):
    train(max_epochs=1, average=0.9)
    with open(dataset, 'rb') as f:
        training_set, test_set = pickle.load(f), pickle.load(f)
    training_set[0][3].append(5)
    write_data('other.pkl', training_set, test_set)
    before = files_in()
    for name, value, then in (
            ('dim_proj', 9, 8), ('n_words', 31, 30), ('batch_size', 5, 4),
            ('seed', 5, 123), ('maxlen', 8, 100), ('test_size', 20, -1),
            ('use_dropout', False, True), ('pool_lengths', False, True),
            ('encoder', 'bilstm', 'lstm'), ('pooling', 'both', 'mean'),
            ('average', 0., 0.9), ('average', 0.99, 0.9),
            ('split', 'random', 'group'), ('valid_portion', 0.06, 0.05),
            ('optimizer', 'sgd', 'adadelta'), ('dataset', 'other.pkl', None)):
        fact = 'checksum of all reviews and words=' if then is None else (
            '%s=%s.*this run has .*%s=%s' % (name, then, name, value))
        with pytest.raises(ValueError, match='was saved with .*' + fact):
            train(**dict({'max_epochs': 1, 'average': 0.9, 'resume': True},
                         **{name: value}))
    other = {'float32': 'float64', 'float64': 'float32'}[theano.config.floatX]
    with pytest.raises(ValueError, match='this run has floatX=' + other):
        checkpoint.changed_options('lstm_model.resume.npz', {'floatX': other})
    assert files_in() == before


@pytest.mark.parametrize('ending, change, words', [
    ('options', lambda _: None, 'options'),  # as in version 1.1
    ('options', lambda _: numpy.array('{'), 'options'),
    ('counts', lambda value: value - 99, 'impossible'),
    ('history', lambda _: numpy.zeros((9, 4)), 'another shape'),
    # Of the optimizer's averages, the first.
    ('_rgrad2', lambda value: value[1:], 'another shape'),
    ('_rgrad2', lambda value: value.astype('float16'), 'another .* type'),
    ('best/U', lambda _: None, 'best/U')])
def test_a_damaged_checkpoint_is_refused(train, complete, ending, change,
                                         words):
    arrays = contents(complete(max_epochs=1)[0] + '.resume.npz')
    name = min(name for name in arrays if name.endswith(ending))
    changed = change(arrays.pop(name))
    if changed is not None:
        arrays[name] = changed
    numpy.savez('lstm_model.resume.npz', **arrays)
    before = files_in()
    with pytest.raises(ValueError, match='^lstm_model.resume.npz is damaged, '
                       '.*resume=False starts again.*' + words):
        train(max_epochs=1, resume=True)
    assert files_in() == before


# ---- Signals ----------------------------------------------------------------

@pytest.mark.parametrize('number, update, options', [
    (signal.SIGINT, 24, {}), (signal.SIGTERM, 24, ALL),
    # Before the first validation, and before the first save.
    (signal.SIGHUP, 4, ALL)], ids=['SIGINT', 'SIGTERM', 'SIGHUP'])
def test_a_signal_saves_exits_and_can_be_resumed(train, held, complete, number,
                                                 update, options):
    training = held(update, **options)
    training.process.send_signal(number)
    training.until('finishing this update, then saving')
    training.go()
    assert training.end() == 128 + number
    assert 'Update %d ' % (update + 1) not in training.text()
    assert 'Errors of the best parameters' in training.text()
    saved = contents('lstm_model.npz')
    assert saved['test_err'] <= 1
    assert len(saved['history_errs']) == update // 10
    train(resume=True, **options)
    assert_same_files(complete(**options)[0], 'lstm_model')


def test_a_signal_that_nohup_ignores_stays_ignored(held):
    training = held(24, prepare=lambda: signal.signal(
        signal.SIGHUP, signal.SIG_IGN))
    training.process.send_signal(signal.SIGHUP)
    training.go()
    assert training.end() == 0
    # A pipe gets a line for each update, and no line drawn in place.
    assert len(re.findall(r'^Epoch \d  Update \d+  Cost', training.text(),
                          re.M)) == 76
    assert '\r' not in training.text() and '/19' not in training.text()


def test_a_second_signal_exits_immediately(held, tmp_path):
    # The errors take as long as the standard input is open.
    training = held(
        12, before='from lstm_support.training import metrics\n'
                   'metrics.pred_probs = lambda *_: hold()',
        validFreq=10 ** 9)
    training.process.send_signal(signal.SIGTERM)
    training.go()
    training.until('held')
    training.process.send_signal(signal.SIGINT)
    training.process.stdin.close()
    assert training.end() == 130
    assert 'Errors of the best parameters' not in training.text()
    # All updates were saved before the errors were computed.
    assert numpy.isfinite(contents(tmp_path / 'lstm_model.npz')['Wemb']).all()
    assert updates_in(tmp_path / 'lstm_model.resume.npz') == 12
    assert sorted(files_in(tmp_path)) == FILES


@pytest.fixture
def own_handlers():
    """Handlers of this test, even where nohup or a shell ignores signals."""
    def handler(number, frame):
        raise AssertionError('signal %d' % number)
    before = {number: signal.signal(number, handler) for number in (
        signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield handler
    for number, old in before.items():
        signal.signal(number, old)


@pytest.mark.parametrize('of_c', [False, True])
def test_signals_have_their_old_handlers_after_a_training(own_handlers, of_c,
                                                          monkeypatch):
    """But for handlers of C: signal.signal returns None, and takes none."""
    real = signal.signal
    if of_c:
        monkeypatch.setattr(report.signal, 'signal', lambda number, handler: (
            real(number, handler), None)[1])
    with report.Signals() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.received == signal.SIGTERM
        with pytest.raises(SystemExit) as caught:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.1)
        assert caught.value.code == 130
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        assert (signal.getsignal(number) is own_handlers) != of_c


def test_signals_are_left_alone_in_other_threads():
    before = signal.getsignal(signal.SIGTERM)

    def inside():
        with report.Signals() as signals:
            return signals.received, signal.getsignal(signal.SIGTERM)
    with futures.ThreadPoolExecutor() as pool:
        assert pool.submit(inside).result() == (None, before)


# ---- The status line --------------------------------------------------------

def test_a_training_on_a_terminal_shows_one_line_in_place_of_a_log(
        start, dataset):
    ours, its = os.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack('HHHH', 30, 120, 0, 0))
    training = start(stdout=its, **dict(SMALL, dataset=dataset, max_epochs=3,
                                        saveto=None))
    os.close(its)
    shown = b''
    with contextlib.suppress(OSError):  # when the other end is closed
        while True:
            shown += os.read(ours, 4096)
    os.close(ours)
    assert training.process.wait() == 0
    shown = shown.decode('utf-8')
    assert re.search('Epoch 1: .*/19, .*cost 0.* best valid 0', shown)
    assert 'Update 1 ' not in shown
    # Lines that stay begin at the left, without a trace of the status line.
    lines = [line.rstrip('\r').rsplit('\r', 1)[-1]
             for line in shown.split('\n')]
    for update in (10, 20, 30, 40, 50):
        assert sum(bool(re.match(
            r'Update %d  Errors: train 0\.\d+  valid 0\.\d+  test 0\.\d+$'
            % update, line)) for line in lines) == 1
    assert not any('Epoch' in line for line in lines)


# ---- Saving -----------------------------------------------------------------

def test_sixty_kills_around_saves_leave_complete_files(tmp_path):
    tparams = lstm.init_tparams(lstm.init_params(
        {'dim_proj': 32, 'n_words': 3000, 'ydim': 2}))
    model, state = str(tmp_path / 'm.npz'), str(tmp_path / 'm.resume.npz')

    def save_on(update, started):
        """Save the states of this update and of the next, until killed."""
        progress = checkpoint.Progress(tparams, (), lstm.EarlyStopping(9))
        progress.update, progress.stopping.best_err = update, 0.5
        while True:
            for shared in tparams.values():
                shared.set_value(0 * shared.get_value() + progress.update)
            progress.best_params = lstm.unzip(tparams)
            progress.save(state, {})
            lstm.save_model(model, progress.best_params, [], {})
            os.write(started, b'.')
            progress.update += 1

    for n in range(60):
        saved, started = os.pipe()
        child = os.fork()
        if not child:
            try:
                save_on(1000 * n, started)
            finally:
                os._exit(1)
        assert os.read(saved, 1) == b'.'
        time.sleep(0.2 * random.random())
        os.kill(child, signal.SIGKILL)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
        os.close(saved)
        os.close(started)
        for path, n_arrays in ((model, 6), (state, 12)):
            arrays = [value for name, value in contents(path).items()
                      if name in tparams or '/' in name]
            assert len(arrays) == n_arrays
            # All values of a file are those of one update of this child.
            values = {value for array in arrays
                      for value in (array.min(), array.max())}
            assert len(values) == 1
            assert 1000 * n <= values.pop() < 1000 * (n + 1)


def test_training_goes_on_while_the_disk_is_full(start, dataset, tmp_path):
    training = start(at={9: 'limit(2000)', 16: 'hold(); limit(-1)'},
                     **dict(SMALL, dataset=dataset, max_epochs=1))
    training.until('held')
    assert training.text().count('NOT saved') == 1
    before = contents(tmp_path / 'lstm_model.npz')
    assert updates_in(tmp_path / 'lstm_model.resume.npz') == 7
    training.go()
    assert training.end() == 0, training.text()
    assert training.text().count('NOT saved') == 1
    after = contents(tmp_path / 'lstm_model.npz')
    assert 'test_err' in after and 'test_err' not in before
    assert sorted(files_in(tmp_path)) == FILES


def test_a_disk_that_stays_full_leaves_the_earlier_files(held, tmp_path):
    training = held(9, '; limit(2000)', max_epochs=1)
    before = files_in(tmp_path)
    training.go()
    assert training.end() == 1
    assert 'each file is complete, from this save or from an' in (
        training.text())
    assert 'lstm_model.npz cannot be saved' in training.text()
    for name, data in before.items():
        assert (tmp_path / name).read_bytes() == data


def test_the_last_model_goes_to_a_temporary_folder_if_its_own_is_lost(
        start, dataset, tmp_path):
    (tmp_path / 'folder').mkdir()
    training = start(at={18: 'shutil.rmtree("folder")'}, **dict(
        SMALL, dataset=dataset, max_epochs=1, saveto='folder/m.npz'))
    assert training.end() == 0, training.text()
    assert 'folder/m.npz cannot be saved' in training.text()
    path = re.findall('Saved (.*)', training.text())[-1]
    assert not path.startswith('folder')
    assert 'test_err' in contents(path)


@pytest.mark.parametrize('saveto, error, words', [
    ('none/m.npz', IOError, 'folder none .*No such'),
    ('folder.npz', ValueError, 'saveto=.* is a folder, .*; name a file'),
    ('pipe.npz', ValueError, 'saveto=.* or a FIFO; name a file'),
    ('/proc/m.npz', IOError, 'nothing can be written')])
def test_places_that_cannot_be_written_are_named_before_data_is_loaded(
        train, monkeypatch, saveto, error, words):
    os.mkdir('folder.npz')
    os.mkfifo('pipe.npz')
    monkeypatch.setattr(lstm, 'get_dataset', None)
    with pytest.raises(error, match=words):
        train(saveto=saveto)
    assert sorted(os.listdir('.')) == ['folder.npz', 'pipe.npz']


def test_the_files_of_the_last_training_are_kept(train, capsys):
    """Not links to them, whose targets are then written anew."""
    kept = ['lstm_model.bak.npz', 'lstm_model.bak.resume.npz']
    os.mkdir('elsewhere')
    for name in FILES:
        os.symlink(os.path.join('elsewhere', name), name)
    earlier = []
    for seed in (1, 2, 3):
        train(max_epochs=1, seed=seed)
        earlier.append([files_in()[name] for name in FILES])
    assert 'lstm_model.bak.npz' in capsys.readouterr().out
    assert earlier[1] == [files_in()[name] for name in kept]
    assert sorted(files_in()) == kept + FILES
    assert [files_in('elsewhere')[name] for name in FILES] == earlier[2]
    assert [os.path.islink(name) for name in FILES + kept] == [
        True, True, False, False]
    # They can be continued.
    train(max_epochs=2, seed=2, saveto='lstm_model.bak.npz', resume=True)


def test_two_trainings_cannot_save_to_one_file(train, held):
    first = held(1)
    inode = os.stat('lstm_model.npz.lock').st_ino
    with pytest.raises(IOError, match='another training is saving to '
                                      'lstm_model.npz'):
        train(max_epochs=1)
    train(max_epochs=1, saveto='other.npz')
    assert first.kill() == -signal.SIGKILL
    # A killed process has no lock. The file stays and is used again.
    assert os.stat('lstm_model.npz.lock').st_ino == inode
    train(max_epochs=1)
    assert os.stat('lstm_model.npz.lock').st_ino == inode


# ---- Model files ------------------------------------------------------------

def test_an_unfit_model_file_is_refused_and_changes_nothing(tmp_path):
    params = lstm.init_params(OPTIONS)
    # The last array has another shape, and the others differ in values.
    path = write_model(tmp_path / 'm.npz', OPTIONS, b=numpy.zeros(2))
    with pytest.raises(ValueError, match=r'b of shape \(2,\), .* make it '
                       r'\(3,\); .*n_words, dim_proj and data'):
        lstm.load_params(path, params)
    assert_same(params, lstm.init_params(OPTIONS))
