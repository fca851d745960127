"""The pages: they render, their links are well-formed, their commands run."""
import ast
import doctest
import io
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap

import numpy
import pytest
import theano

import imdb
import lstm
from conftest import ROOT, blocks, contents, environment, files, read
from graphs import compiled, readme_momentum, shared_arrays
from test_corpora_data import small_corpus, write_texts

# Commands that run elsewhere, and the files that run them. There is no GPU.
ELSEWHERE = {
    '.ci/run': [
        'pip install uv && uv run classify.py predict '
        '"A dull, endless film." "Lovely."',
        'pip install uv && THEANO_FLAGS="floatX=float32" uv run lstm.py',
        'pip install uv && uv run --all-extras --group dev pytest',
        'python3 -m venv tools && tools/bin/pip install uv',
        'pip install gensim', 'pip install mpi4py mpich'],
    'tests/matrix.sh': [
        'pip install -r requirements.txt',
        'pip install --no-build-isolation -r requirements.txt',
        'pip install setuptools ./lstm_support/theano_fixes/build'],
    'tests/test_training_options.py': [
        'THEANO_FLAGS="floatX=float32" python lstm.py'],
    'tests/test_training_parallel.py': [
        'mpiexec -n 2 python lstm.py',
        'uv run --extra mpi mpiexec -n 2 python lstm.py'],
    'tests/test_corpora_vectors.py': [
        'python imdb.py aclImdb_v1.tar.gz --vectors data/imdb64.txt --dim 64'],
    'tests/test_project_download.py': ['./download.sh'],
    '': ['THEANO_FLAGS="device=cuda,floatX=float32" python lstm.py']}
RUN_ELSEWHERE = sum(ELSEWHERE.values(), [])


def commands():
    """The lines of literal blocks that a shell is to run."""
    starts = r'    (pip|uv|python|mpiexec|\./|[A-Z_]+=")'
    return [line.strip() for name in (
        'README.rst', 'docs/start.rst', 'docs/data.rst')
            for line in read(name).splitlines() if re.match(starts, line)]


@pytest.mark.parametrize('name', files('*.rst') + files('*/*.rst'))
def test_links_are_well_formed_and_it_renders_without_a_message(name):
    text = read(name)
    links = re.findall(r'\w+://[^\s<>`)]+', text)
    assert len(links) == text.count('://')
    for link in links:
        assert re.match(r'https://[a-z0-9.-]+\.[a-z]+/[\w./~-]*$',
                        link.rstrip('.')), link
    folder = os.path.dirname(os.path.join(ROOT, name))
    for picture in re.findall(r'\.\. image:: (\S+)', text):
        assert os.path.getsize(os.path.join(folder, picture)) > 1000, picture
    core = pytest.importorskip('docutils.core')
    from docutils import nodes
    tree = core.publish_doctree(text, settings_overrides={
        'report_level': 1, 'warning_stream': io.StringIO()})
    assert [node.astext() for node in tree.findall(nodes.system_message)] == []


def test_files_are_there():
    named = re.findall(r'``([\w/]+\.(?:py|rst|sh)|[\w]+/)``',
                       read('README.rst'))
    assert len(named) > 10
    for name in named:
        assert os.path.exists(os.path.join(ROOT, name)), name


def test_every_line_of_code_quoted_is_in_lstm_py():
    text = read('README.rst')
    table = text[text.index('equation ('):text.index('No gate sees')]
    quoted = [code for code in re.findall('``(.+?)``', table)
              if code not in ('lstm.py', 'Wemb')]
    assert len(quoted) > 10
    for code in quoted:
        assert code in read('lstm.py'), code


def test_the_table_of_options_is_that_of_lstm_py():
    widths = 20, 20, 37
    rule = ' '.join('=' * width for width in widths)
    form = '%-20s %-20s %s'
    lines = [rule, form % ('option', 'default', 'meaning, values'), rule]
    for row in lstm.OPTIONS:
        value = getattr(row.default, '__name__', None) or repr(row.default)
        text = textwrap.wrap('%s (%s)' % (row.meaning, row.values.words),
                             widths[2])
        lines.append(form % ('``%s``' % row.name, '``%s``' % value, text[0]))
        lines.extend(' ' * 42 + line for line in text[1:])
    page = read('docs/options.rst')
    assert page[page.index(rule):] == '\n'.join(lines + [rule]) + '\n'


def test_the_call_at_the_end_is_as_the_readme_says():
    text = ' '.join(read('README.rst').split())
    said = re.search('The call at the end of ``lstm.py`` sets (.*?)[.] ',
                     text).group(1)
    call = [node for node in ast.walk(ast.parse(read('lstm.py')))
            if isinstance(node, ast.Call)
            and getattr(node.func, 'id', '') == 'command_line'][-1]
    options = {each.arg: ast.literal_eval(each.value)
               for each in call.keywords}
    assert re.findall('``(.+?)``', said) == [
        '%s=%s' % item for item in options.items()]
    assert options == lstm.opt._AS_IT_COMES


def test_commands_that_run_elsewhere_are_in_the_pages():
    assert set(RUN_ELSEWHERE) <= set(commands())
    assert all(os.path.exists(os.path.join(ROOT, path)) for path in ELSEWHERE)


def test_every_test_in_the_table_of_faults_is_there():
    named = set(re.findall(r'``(test_\w+?)(?:\.py)?``',
                           read('tests/README.rst')))
    modules = {os.path.basename(path)[:-len('.py')]
               for path in files('tests/test_*.py')}
    tests = {name for path in files('tests/test_*.py')
             for name in re.findall(r'^def (test_\w+)', read(path), re.M)}
    assert len(named) > 100 and modules <= named
    assert sorted(named - modules - tests) == []


def test_commands_run_in_the_order_of_the_readme(
        tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in os.listdir(ROOT):
        if name.endswith(('.py', '.rst', '.txt')):
            shutil.copy(os.path.join(ROOT, name), str(tmp_path))
    shutil.copytree(os.path.join(ROOT, 'lstm_support'), 'lstm_support')
    shutil.copytree(os.path.join(ROOT, 'data'), 'data',
                    ignore=shutil.ignore_patterns('*.pkl', '*.gz'))
    # The reader has a model by then, word vectors, reviews, and texts of
    # three classes. Few short reviews are in place of IMDB's.
    (tmp_path / 'data' / 'imdb64.txt').write_text('film' + 64 * ' 0.1')
    imdb.preprocess(small_corpus(tmp_path / 'few', 50), 'data/imdb.pkl')
    lstm.train_lstm(max_epochs=1, validFreq=-1, dim_proj=8, dataset='sample')
    capsys.readouterr()
    code, = blocks('README.rst', 'import classify')  # the example in Python
    exec(code, {})
    printed = capsys.readouterr().out.strip().strip('[]').split()
    assert len(printed) == 2
    assert sum(map(float, printed)) == pytest.approx(1, abs=1e-4)
    (tmp_path / 'reviews.txt').write_text('A dull film.\nLovely!\n')
    (tmp_path / 'reviews.csv').write_text('review,sentiment\n' + ''.join(
        '"%s, number %d",%s\n' % (word, n, word) for n in range(20)
        for word in ('pos', 'neg')))
    write_texts(tmp_path, {
        'mine/%s/%s/%d.txt' % (part, name, n): 'This is %s, %d.' % (name, n)
        for part in ('train', 'test') for n in range(20)
        for name in ('praise', 'blame', 'neither')})
    outputs = {}
    path = os.path.dirname(sys.executable) + os.pathsep + os.environ['PATH']
    for command in commands():
        if command in RUN_ELSEWHERE:
            continue
        done = subprocess.run(
            command.replace('uv run --extra vectors', 'python'), shell=True,
            capture_output=True, text=True, env=environment(PATH=path))
        assert done.returncode == 0, (command, done.stderr)
        said = [line for line in done.stderr.splitlines()
                if not line.startswith(('Compiling the ', 'INFO (theano.gof'))]
        if '--model' not in command and (
                'classify.py predict' in command or ' --json' in command
                or 'watch' in command):
            assert said.pop(0).startswith(
                'The model is lstm_model.npz, trained on '), command
        if 'evaluate --file' in command:  # it says what it has read
            assert all('reviews.csv' in said.pop() for _ in range(2))
        assert said in ([], ['Wrote page.html'], ['Wrote cell.html']), command
        outputs[command] = done.stdout
    assert len(outputs) >= 10
    assert (tmp_path / 'page.html').read_text().startswith('<!DOCTYPE html>')
    assert (tmp_path / 'lstm_model.png').exists()
    answer, = [out for command, out in outputs.items()
               if '--model mine.npz' in command]
    assert answer.split('\t')[0] in ('praise', 'blame', 'neither')
    # The README shows the last lines of a training. They differ in their
    # numbers only.
    text = re.sub(r'\d+', '9', read('README.rst'))
    training = [out for command, out in outputs.items()
                if command.startswith('python lstm.py --dim_proj')][0]
    training = training.replace('other.npz', 'lstm_model.npz')
    for line in training.splitlines()[-3:]:
        assert '    %s\n' % re.sub(r'\d+', '9', line) in text, line


def test_accuracy_reports_what_its_trainings_saved(tmp_path, monkeypatch,
                                                   capsys):
    monkeypatch.syspath_prepend(os.path.join(ROOT, 'benchmarks'))
    import accuracy

    def train_little(path, **how):
        return train(path, **dict(
            how, dataset='sample', dim_proj=4, max_epochs=1, validFreq=20,
            vectors=None))

    train = accuracy.train
    monkeypatch.setattr(accuracy, 'train', train_little)
    monkeypatch.setattr(accuracy, 'SEEDS', [5, 6])
    monkeypatch.setattr(accuracy, 'more_reviews',  # which needs the archive
                        lambda folder, archive: 'sample')
    (tmp_path / 'imdb64.txt').write_text('')  # so no vectors are learned
    accuracy.defaults(str(tmp_path), None)
    accuracy.unlabelled(str(tmp_path), None)
    said = capsys.readouterr().out
    for name, array in (('defaults', 'lstm_U'),
                        ('unlabelled', 'bilstm_backward_U')):
        models = [contents(tmp_path / ('%s_%d.npz' % (name, seed)))
                  for seed in (5, 6)]
        low, high = sorted(model['test_err'] for model in models)
        assert 'Errors of %s\n' % name in said
        assert 'mean %.4f, standard deviation %.4f' % (  # that of two numbers
            (low + high) / 2, (high - low) / 2 ** 0.5) in said
        assert array in models[0]


def test_the_minibatch_in_the_readme_is_what_prepare_data_makes():
    block, = blocks('README.rst', '>>> import imdb')
    examples = doctest.DocTestParser().get_doctest(block, {}, 'README', None,
                                                   0)
    with theano.configparser.change_flags(floatX='float64'):
        assert doctest.DocTestRunner().run(examples) == (0, 4)


def test_the_optimizer_in_the_readme_is_momentum():
    tparams = shared_arrays(p=[[1., -2.]])
    p = tparams['p']
    _, (f_grad_shared, f_update) = compiled(
        readme_momentum(), tparams, lambda *_: (p ** 2).sum())
    value, velocity = p.get_value(), 0.
    for _ in range(3):
        f_grad_shared([[1]], [[1.]], [1])
        f_update(0.1)
        velocity = 0.9 * velocity - 0.1 * 2 * value
        value = value + velocity
        numpy.testing.assert_allclose(p.get_value(), value, 1e-5)


def test_the_data_set_in_the_pages_trains(tmp_path, monkeypatch, capsys):
    code, = blocks('docs/data.rst', 'import imdb, lstm')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lstm, 'datasets', dict(lstm.datasets))
    exec(code, {})
    assert '100 training, 100 validation and 100 test reviews' in (
        capsys.readouterr().out)
    _, _, _, _, f_pred_prob, _, _ = lstm.build_model(
        lstm.init_tparams(lstm.init_params(
            {'n_words': 10000, 'dim_proj': 128, 'ydim': 2})),
        {'dim_proj': 128})
    x, mask, _ = imdb.prepare_data([[5, 6, 7], [8]], [1, 0])
    shown, = re.findall('Before training\\s+they are ``(.*?)``',
                        read('README.rst'))
    numpy.testing.assert_allclose(f_pred_prob(x, mask),
                                  ast.literal_eval(shown), atol=0.01)


def assert_row(label, *cells):
    """Assert that a table of the benchmarks has these texts and numbers."""
    rows = re.findall('^%s +([0-9].*)$' % re.escape(label),
                      read('benchmarks/README.rst'), re.M)
    cells = [cell if isinstance(cell, str) else '%.1f' % cell
             for cell in cells]
    assert cells in [row.split() for row in rows], (label, cells)


RESULTS = json.loads(read('benchmarks/results.json'))


def test_speeds_in_the_documents_are_those_of_the_results():
    cases = RESULTS['cases']
    columns = ('ours', 'torch padded', 'torch packed', 'flax', 'scan', 'plain')
    assert len(cases) >= 10
    for label, case in cases.items():
        ms = {name: case[name]['ms_update'] for name in columns
              if name in case}
        ratio = ms['ours'] / min(value for name, value in ms.items()
                                 if 'torch' in name)
        if not label.startswith('whole epoch'):  # which has a table of its own
            assert_row(label, *[ms.get(name, '-') for name in columns],
                       '%.2f' % ratio)
    for label, name, form in (
            ('defaults, 1 thread', '1 thread', '%.2f'),
            ('defaults, 2 threads', '2 threads', '%.2f'),
            ('the same, length bucketing', 'pooled, 1 thread', '%.2f'),
            ('full length, 1 thread', 'full length, 1 thread', '%.1f')):
        case = cases['whole epoch, ' + name]
        ours, torch = [case[each]['epoch_s']
                       for each in ('ours', 'torch padded')]
        assert_row(label, form % ours, form % torch, '%.2f' % (ours / torch),
                   str(case['updates_per_epoch']))
    for label in ('defaults, 1 thread', 'batch_size=256, 1 thread',
                  'full length, 1 thread'):
        assert_row(label, *[
            '%.0f' % cases[label][name]['reviews_s']
            if name in cases[label] else '-' for name in columns])
    sentences = ' '.join(read('benchmarks/README.rst').split())
    assert 'takes %.2f and %.2f times as long' % tuple(
        case['ours']['ms_update'] / case['ours, fewer words']['ms_update']
        for case in (cases['n_words=100000, 1 thread'],
                     cases['n_words=100000, 2 threads'])) in sentences
    assert 'Packed sequences took %.2f s and %.2f s at the defaults' % tuple(
        cases['whole epoch, ' + threads]['torch packed']['epoch_s']
        for threads in ('1 thread', '2 threads')) in sentences
    defaults, complete = (
        {name: case['peak_mb'] for name, case in cases[label].items()
         if isinstance(case, dict)} for label in (
             'defaults, 1 thread', 'whole epoch, full length, 1 thread'))
    assert ('Peak memory, in MB: %.0f, PyTorch %.0f, Flax %.0f at the '
            'defaults; %.0f and %.0f ' % (
                defaults['ours'], min(defaults['torch padded'],
                                      defaults['torch packed']),
                defaults['flax'], complete['ours'],
                complete['torch padded'])) in sentences
    start = RESULTS['start_up']
    assert '%.1f s with an empty compile directory, %.1f s ' % (
        start['empty compile directory'], start['warm']) in sentences
    said = re.search(r'\*\*Speed\*\*(.*?)\n\n', read('README.rst'), re.S)
    assert re.findall(r'0\.\d+', said.group(1)) == [
        '%.2f' % (ms['train, two threads'] / ms['train, torch, 2'])
        for ms in map(RESULTS['cores'].get, ('defaults', 'full length'))]


def test_speeds_of_two_cores_are_those_of_the_results():
    def full(label):
        return label if 'batch_size' in label else label + ', batch_size=16'

    assert len(RESULTS['cores']) == 6
    for label, ms in RESULTS['cores'].items():
        one, two, processes, torch = [ms['train, ' + name] for name in (
            'one thread', 'two threads', 'two processes', 'torch, 2')]
        assert_row(full(label), one, two, '%.2f' % (one / two),
                   '%.2f' % ms['train, limit'], processes, torch,
                   '%.2f' % (two / torch))
        seconds = [1e-3 * ms['predict, ' + name] for name in (
            'one thread', 'two threads', 'onnxruntime, 1', 'onnxruntime, 2')]
        assert_row(full(label), *['%.0f' % (ms['batch_size'] / each)
                                  for each in seconds],
                   *['%.2f' % (seconds[k + 2] / seconds[k]) for k in (0, 1)])
    for label, case in RESULTS['more cores'].items():
        ms = [case['%d cores' % number] for number in (2, 4, 8, 16)]
        one = case['layer'] + case['rest']
        assert_row(full(label), one, case['rest'], *ms, one / ms[2],
                   one / ms[3])
    for label, case in RESULTS['machines'].items():
        reviews, machines = re.findall('[0-9]+', label)
        assert_row(reviews, machines, *[case[name] for name in (
            'one', 'part', 'update', 'network', 'megabytes', 'speedup')])
    for label, case in RESULTS['versions'].items():
        assert_row(label, case['ms_update'], case['empty compile directory'],
                   's', case['warm'], 's')
    for label in ('batch_size=64', 'batch_size=256', 'dim_proj=512'):
        case = RESULTS['cases'][label + ', 1 thread']
        assert_row(label, *[case[name]['ms_update']
                            for name in ('ours', 'products')])


def test_the_walk_names_what_is_there():
    code = ''.join(read(name) for name in (
        'lstm.py', 'imdb.py', 'lstm_support/kernel/layer.py',
        'lstm_support/kernel/updates.py',
        'lstm_support/training/rows.py', 'lstm_support/training/state.py',
        'lstm_support/training/presets.py'))
    names = set(re.findall('``([A-Za-z_]+)``', read('docs/walkthrough.rst')))
    assert len(names) > 40
    parameters = {'lstm_%s' % letter for letter in 'WUb'}
    for name in names - parameters:  # defined, or assigned
        assert re.search(r'(def |class )%s\b|\b%s(, \w+)* = ' % (name, name),
                         code), name


def test_the_walk_shows_what_theano_prints(capsys):
    code, = blocks('docs/walkthrough.rst', 'import lstm, theano')
    exec(code, {})
    cost, w = map(float, capsys.readouterr().out.split())
    shown, = re.findall('This prints ``(.*?)``', read('docs/walkthrough.rst'))
    assert [cost, w] == pytest.approx([float(n) for n in shown.split()])


def test_the_walk_is_in_the_order_of_the_file():
    parts = re.findall(r'^\*\*(\w+)\.\*\*', read('docs/walkthrough.rst'),
                       re.M)
    assert parts == re.findall('^# ---- (\\w+) -', read('lstm.py'), re.M)
    assert len(parts) == 5
