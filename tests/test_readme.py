"""The README: it renders, its links are well-formed, its commands run."""
import ast
import io
import os
import re
import shutil
import subprocess
import sys

import numpy
import pytest

import lstm
from conftest import ROOT

FILES = ['README.rst', os.path.join('benchmarks', 'README.rst'),
         os.path.join('data', 'README.rst'),
         os.path.join('tests', 'README.rst')]

# Commands that are run elsewhere, and where.
RUN_BY = {
    'pip install uv && uv run pytest': '.ci/run',
    'pip install uv && THEANO_FLAGS="floatX=float32" uv run lstm.py':
        'test_train.test_main_block_on_the_sample_in_a_clean_folder',
    'pip install -r requirements.txt': '.ci/run',
    'THEANO_FLAGS="floatX=float32" python lstm.py':
        'test_train.test_main_block_on_the_sample_in_a_clean_folder',
    'THEANO_FLAGS="device=cuda,floatX=float32" python lstm.py':
        'nothing: there is no GPU, as the README says',
    './download.sh': 'test_download',
    'python imdb.py aclImdb_v1.tar.gz': 'test_imdb.test_real_archive',
    'THEANO_FLAGS="floatX=float32" uv run benchmarks/accuracy.py defaults':
        'test_accuracy_reports_what_its_trainings_saved',
    'THEANO_FLAGS="floatX=float32" uv run benchmarks/accuracy.py full':
        'test_accuracy_reports_what_its_trainings_saved',
    'THEANO_FLAGS="floatX=float32" uv run benchmarks/accuracy.py search':
        'test_accuracy_reports_what_its_trainings_saved',
    'theano-cache unlock': 'nothing: it would take the lock of the tests'}


def read(name):
    with open(os.path.join(ROOT, name), encoding='utf-8') as f:
        return f.read()


def commands():
    """The lines of the README's literal blocks that a shell is to run."""
    return [line.strip() for line in read('README.rst').splitlines()
            if re.match(r'    (pip|uv|python|theano-cache|\./|[A-Z_]+=")',
                        line)]


@pytest.mark.parametrize('name', FILES)
def test_it_renders_without_a_word(name):
    core = pytest.importorskip('docutils.core')
    from docutils import nodes
    tree = core.publish_doctree(read(name), settings_overrides={
        'report_level': 1, 'warning_stream': io.StringIO()})
    assert [node.astext() for node in tree.findall(nodes.system_message)] == []


@pytest.mark.parametrize('name', FILES)
def test_links_are_well_formed(name):
    text = read(name)
    links = re.findall(r'\w+://[^\s<>`)]+', text)
    assert len(links) == text.count('://')
    for link in links:
        assert re.match(r'https://[a-z0-9.-]+\.[a-z]+/[\w./~-]*$',
                        link.rstrip('.')), link
    folder = os.path.dirname(os.path.join(ROOT, name))
    for picture in re.findall(r'\.\. image:: (\S+)', text):
        assert os.path.getsize(os.path.join(folder, picture)) > 1000, picture


def test_files_are_there():
    named = re.findall(r'``([\w/]+\.(?:py|rst|sh)|[\w]+/)``',
                       read('README.rst'))
    assert len(named) > 10
    for name in named:
        assert os.path.exists(os.path.join(ROOT, name)), name


def test_every_line_of_code_quoted_is_in_lstm_py():
    text = read('README.rst')
    table = text[text.index('equation ('):text.index('On the CPU, the Ops')]
    quoted = [code for code in re.findall('``(.+?)``', table)
              if code not in ('lstm.py', 'Wemb')]
    assert len(quoted) > 10
    for code in quoted:
        assert code in read('lstm.py'), code


def test_the_table_of_options_is_the_call_at_the_end_of_lstm_py():
    call = [node for node in ast.walk(ast.parse(read('lstm.py')))
            if isinstance(node, ast.Call)
            and getattr(node.func, 'id', '') == 'train_lstm'][-1]
    in_call = [(each.arg, eval(compile(ast.Expression(each.value), '', 'eval'),
                               vars(lstm))) for each in call.keywords]
    rows = re.findall(r'^``(\w+)`` +``([^`]+)`` ', read('README.rst'), re.M)
    assert [(name, eval(value, vars(lstm))) for name, value in rows] == in_call


def test_commands_run_in_the_order_of_the_readme(tmp_path):
    for name in os.listdir(ROOT):
        if name.endswith(('.py', '.rst', '.txt')):
            shutil.copy(os.path.join(ROOT, name), str(tmp_path))
    shutil.copytree(os.path.join(ROOT, 'data', 'sample'),
                    str(tmp_path / 'data' / 'sample'))
    # What the reader has by then: a model, reviews, texts of three classes.
    env = dict(os.environ, THEANO_FLAGS='floatX=float32',
               PATH=os.path.dirname(sys.executable) + os.pathsep
               + os.environ['PATH'])
    subprocess.check_call(
        [sys.executable, '-c', 'import lstm; lstm.train_lstm('
         'max_epochs=1, validFreq=-1, dim_proj=8, dataset="sample")'],
        cwd=str(tmp_path), env=env, stdout=subprocess.DEVNULL)
    (tmp_path / 'reviews.txt').write_text('A dull film.\nLovely!\n')
    for part in ('train', 'test'):
        for name in ('praise', 'blame', 'neither'):
            folder = tmp_path / 'mine' / part / name
            folder.mkdir(parents=True)
            for n in range(20):
                (folder / ('%d.txt' % n)).write_text(
                    'This is %s, number %d.' % (name, n))
    run = []
    for command in commands():
        if command in RUN_BY:
            continue
        done = subprocess.run(
            command, shell=True, cwd=str(tmp_path), env=env,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            universal_newlines=True)
        assert done.returncode == 0, (command, done.stderr)
        assert done.stderr in ('', 'Wrote page.html\n'), command
        run.append(command)
    assert len(run) >= 10
    assert set(RUN_BY) <= set(commands())
    assert (tmp_path / 'page.html').read_text().startswith('<!DOCTYPE html>')
    assert (tmp_path / 'lstm_model.png').exists()
    last = done.stdout.splitlines()[-1]
    assert last.split('\t')[0] in ('praise', 'blame', 'neither')


def test_accuracy_reports_what_its_trainings_saved(tmp_path, monkeypatch,
                                                   capsys):
    monkeypatch.syspath_prepend(os.path.join(ROOT, 'benchmarks'))
    import accuracy

    def train_little(path, **how):
        return train(path, **dict(
            how, dataset='sample', dim_proj=4, max_epochs=1, validFreq=20))

    train = accuracy.train
    monkeypatch.setattr(accuracy, 'train', train_little)
    monkeypatch.setattr(accuracy, 'SEEDS', [5, 6])
    monkeypatch.setattr(accuracy, 'other_films', lambda folder: 'sample')
    monkeypatch.setattr(accuracy, 'SEARCH', [{'word_dropout': 0.5}])
    accuracy.defaults(str(tmp_path))
    accuracy.full(str(tmp_path))
    accuracy.search(str(tmp_path))
    said = capsys.readouterr().out
    errors = []
    for name in ('defaults_5', 'defaults_6', 'full'):
        with numpy.load(str(tmp_path / (name + '.npz'))) as saved:
            errors.append(float(saved['test_err']))
    low, high = sorted(errors[:2])  # of two, the deviation is as here
    assert 'mean %.4f, standard deviation %.4f' % (
        (low + high) / 2, (high - low) / 2 ** 0.5) in said
    assert 'test %.4f\n' % errors[2] in said
    with numpy.load(str(tmp_path / 'search word_dropout=0.5.npz')) as saved:
        assert '\n%.4f  %.4f  ' % (saved['test_err'], saved['valid_err']) in (
            said)
        assert said.rstrip().endswith('  word_dropout=0.5')
