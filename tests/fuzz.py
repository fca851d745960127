"""Fuzz a loader, guided by the coverage of its code.

    uv run --with atheris==2.3.0 tests/fuzz.py KIND FOLDER -max_total_time=600

KIND is data, dictionary, model, checkpoint, archive or archive.gz; FOLDER
keeps the inputs found, and begins with the small whole file of
test_untrusted.py. More options are libFuzzer's. Whatever is not loaded must
end in a ValueError or an IOError that names the file; all else is a find, and
becomes a test there.
"""
import os
import sys
import tempfile

import atheris

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [ROOT, os.path.join(ROOT, 'tests')]

with atheris.instrument_imports(include=[
        'imdb', 'checkpoint', 'classify', 'tarfile', 'zipfile', 'gzip',
        'pickle']):
    import imdb
    import test_untrusted


def main():
    kind, folder = sys.argv[1:3]
    load, whole = test_untrusted.LOADERS[kind]
    if not os.path.isdir(folder):
        os.makedirs(folder)
    with open(os.path.join(folder, 'whole'), 'wb') as f:
        f.write(whole)
    imdb.MAX_BYTES = 2 ** 20
    path = os.path.join(tempfile.mkdtemp(), 'x.npz')

    def attempt(data):
        test_untrusted.attempt(load, path, data)

    atheris.Setup([sys.argv[0], folder, '-rss_limit_mb=2048', '-timeout=20',
                   '-max_len=8192'] + sys.argv[3:], attempt)
    atheris.Fuzz()


if __name__ == '__main__':
    main()
