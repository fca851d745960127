"""Fuzz a loader, guided by the coverage of its code.

    uv run --with atheris==2.3.0 tests/fuzz.py KIND FOLDER -max_total_time=600

KIND is one of LOADERS in test_storage_untrusted.py: data, model, zip or
another. FOLDER keeps the inputs that reach new code; the first is the small
file of that module. Other options are libFuzzer's. A file that is not loaded
must end in a ValueError or an IOError that names it. Anything else is a fault,
and becomes a test there.
"""
import os
import sys
import tempfile

import atheris

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [ROOT, os.path.join(ROOT, 'tests')]

with atheris.instrument_imports(include=[
        'imdb', 'classify', 'lstm_support', 'csv', 'gzip', 'json', 'pickle',
        'tarfile', 'zipfile']):
    import test_storage_untrusted as untrusted
    from lstm_support.storage import memory


def main():
    kind, folder = sys.argv[1:3]
    load, complete = untrusted.LOADERS[kind]
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, 'complete'), 'wb') as f:
        f.write(complete)
    memory.BOUND = 2 ** 28
    # Tables are known by their names. What is printed would fill the screen.
    path = os.path.join(tempfile.mkdtemp(), 'x.' + kind)
    sys.stdout = open(os.devnull, 'w')

    def attempt(data):
        untrusted.attempt(load, path, data)

    atheris.Setup([sys.argv[0], folder, '-rss_limit_mb=2048', '-timeout=20',
                   '-max_len=8192'] + sys.argv[3:], attempt)
    atheris.Fuzz()


if __name__ == '__main__':
    main()
