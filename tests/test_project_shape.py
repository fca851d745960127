"""The shape of the code: six rooms with one door each; packages and pins."""
import ast
import re
import subprocess

import pytest

from conftest import ROOT, files, read

# Who may enter a room, besides the room itself. Everybody enters the others.
ENTERS = {'corpora': {'imdb', 'explain'}, 'training': {'lstm'},
          'explain': {'classify'}, 'kernel': {'lstm', 'classify'}}
LINES = {'lstm.py': 820, 'imdb.py': 500, 'classify.py': 500}
BENCHMARKS = files('benchmarks/*.py')
PRODUCT = files('*.py') + files('lstm_support/**/*.py')
# Python 2.7 trains, too; it makes no data file and explains nothing, and
# Theano runs there as it is.
PYTHON_2 = [name for name in PRODUCT if re.match(
    'lstm.py|imdb.py|lstm_support/(__init__|terminal|splits|storage|training|'
    'kernel|theano_fixes/(?!compilers|importer))', name)]
BLOCKS = (ast.If, ast.For, ast.While, ast.With, ast.Try)


def room_of(module):
    """The room, the flat module or the script that a module belongs to."""
    parts = module.split('.')
    return parts[min(1, len(parts) - 1)]


def module_of(name):
    return re.sub(r'(/__init__)?\.py$', '', name).replace('/', '.')


MODULES = set(map(module_of, PRODUCT))


def imports(name):
    """The module, the name in it and the target of each import of the project.

    The target is the module that is imported from, or a module in it.
    """
    for node in ast.walk(ast.parse(read(name))):
        if isinstance(node, ast.Import):
            found = [(each.name, None) for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            found = [(node.module, each.name) for each in node.names]
        else:
            continue
        for module, each in found:
            inner = '%s.%s' % (module, each)
            target = inner if inner in MODULES else module
            if target in MODULES:
                yield module, each, target


@pytest.mark.parametrize('name', PRODUCT + BENCHMARKS)
def test_rooms_are_entered_by_their_door(name):
    own = room_of(module_of(name))
    for module, each, target in imports(name):
        room = room_of(target)
        if room == own:
            continue
        assert module.count('.') < 2, '%s is past the door' % module
        assert name.startswith('benchmarks') or own in ENTERS.get(
            room, [own]), 'it enters %s' % room
        door = 'lstm_support/%s/__init__.py' % room
        if module != 'lstm_support' and door in PRODUCT:
            assert each in [public for _, public, _ in imports(door)]


def test_imports_go_one_way():
    left = {module_of(name): {target for _, _, target in imports(name)}
            for name in PRODUCT}
    assert 'lstm' in left['classify'] and 'imdb' in left['lstm']
    while left:
        free = [module for module, names in left.items() if not [
            each for each in names & set(left)
            if not module.startswith(each)]]  # a file may name its own room
        assert free, 'a circle: %s' % sorted(left)
        for module in free:
            del left[module]


@pytest.mark.parametrize('name', PRODUCT + BENCHMARKS)
def test_no_private_name_is_used_outside_its_file(name):
    nodes = list(ast.walk(ast.parse(read(name))))
    own = {node.name for node in nodes
           if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    own |= {node.attr for node in nodes if isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store)
            and getattr(node.value, 'id', '') == 'self'}
    used = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    used |= {each.name for node in nodes if isinstance(node, ast.ImportFrom)
             for each in node.names}
    public = {'_replace', '_asdict', '_fields', '_make', '_exit'}
    assert [each for each in sorted(used - own - public)
            if re.match('_(?!_).*[^_]$', each)] == []


def depth(node, level=0):
    """The deepest nesting of blocks; an elif is no deeper than its if."""
    return max([level] + [
        depth(each, level + (isinstance(each, BLOCKS) and not (
            isinstance(node, ast.If) and node.orelse == [each]
            and isinstance(each, ast.If))))
        for each in ast.iter_child_nodes(node)])


def length(function):
    """Lines of a function without its docstring."""
    doc = function.body[0] if ast.get_docstring(function) else None
    return (function.end_lineno - function.lineno + 1
            - (doc.end_lineno - doc.lineno + 1 if doc else 0))


@pytest.mark.parametrize('name', PRODUCT)
def test_files_and_functions_are_short_and_flat(name):
    assert len(read(name).splitlines()) <= LINES.get(name, 400)
    for node in ast.walk(ast.parse(read(name))):
        if isinstance(node, ast.FunctionDef):
            assert length(node) <= 60, node.name
            assert depth(node) <= (3 if name == 'lstm.py' else 4), node.name


@pytest.mark.parametrize('name', PYTHON_2)
def test_python_2_can_read_it(name):
    tree = ast.parse(read(name))
    for node in ast.walk(tree):
        assert not isinstance(node, (
            ast.JoinedStr, ast.AnnAssign, ast.Nonlocal, ast.YieldFrom,
            ast.NamedExpr)), node.lineno
        if isinstance(node, ast.arguments):
            assert not node.kwonlyargs and not node.posonlyargs
        assert not getattr(node, 'annotation', None), node.lineno
        assert not isinstance(node, ast.Raise) or not node.cause, node.lineno
        if isinstance(node, ast.Call):
            assert getattr(node.func, 'id', '') != 'super' or node.args
    future = {each.name for node in tree.body
              if getattr(node, 'module', '') == '__future__'
              for each in node.names}
    assert name.endswith('__init__.py') or future == {
        'absolute_import', 'division', 'print_function'}
    read(name).encode('ascii')


# ---- Packages ---------------------------------------------------------------

def pins(*extra):
    """The pins of pyproject.toml: to run; with extra ones, all of them."""
    tomllib = pytest.importorskip('tomli')
    requirements = pytest.importorskip('packaging.requirements')
    project = tomllib.loads(read('pyproject.toml'))
    lists = [project['project']['dependencies']]
    if extra:
        lists += project['project']['optional-dependencies'].values()
        lists += map(project['dependency-groups'].get, extra)
    return [requirements.Requirement(pin)
            for pin in sorted(set(sum(lists, [])))]


def holds(requirement, **environment):
    return requirement.marker is None or requirement.marker.evaluate(
        dict({'extra': ''}, **environment))


def test_requirements_are_made_from_pyproject():
    command, = re.findall('^    (sed .*) > requirements.txt$',
                          read('CONTRIBUTING.rst'), re.M)
    assert subprocess.check_output(
        command, shell=True, cwd=ROOT).decode() == read('requirements.txt')
    assert len(read('requirements.txt').splitlines()) == len(pins()) > 10


@pytest.mark.parametrize('version', ['3.%d' % n for n in range(8, 15)])
def test_there_is_one_pin_per_package_and_python(version):
    all_pins = pins('dev', 'benchmarks')
    names = [pin.name for pin in all_pins if holds(
        pin, python_version=version)]
    assert len(names) == len(set(names))
    assert all(re.match('==[0-9.]+$', str(pin.specifier)) for pin in all_pins)


@pytest.mark.parametrize('extra', [(), ('dev',)])
def test_every_package_that_another_needs_is_pinned(extra):
    metadata = pytest.importorskip('importlib.metadata')
    requirements = pytest.importorskip('packaging.requirements')
    pinned = {pin.name for pin in pins(*extra) if holds(pin)}
    missing = set()
    for name in pinned:
        try:
            needs = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # an extra that is not installed
        needs = map(requirements.Requirement, needs)
        missing |= {need.name.lower().replace('_', '-') for need in needs
                    if holds(need)} - pinned
    assert missing <= {'importlib-metadata'}
