"""The old name of this room's modules, until their users enter by the door."""
from __future__ import absolute_import, division, print_function

import gzip
import io

from lstm_support.storage.arrays import (  # noqa: F401
    lines_array, member_shapes, open_npz, read_array, read_lines, read_text,
    text_array, write_npz)
from lstm_support.storage.paths import (  # noqa: F401
    as_path, atomic_write, check_readable, one_error, open_gzipped_or_not,
    sole_writer)
from lstm_support.storage.pickles import (  # noqa: F401
    read_pickles, write_pickles)

MAX_BYTES = 2 ** 28


def read_bytes(path, gzipped=False):
    check_readable(path, 'file')
    with (gzip.open if gzipped else io.open)(path, 'rb') as f:
        return read_all(path, f)


def read_all(path, f):
    with one_error('%s cannot be read' % path):
        data = bytearray()
        for piece in iter(lambda: f.read(2 ** 20), b''):
            data += piece
            if len(data) > MAX_BYTES:
                raise ValueError(
                    'it has more than %d bytes; raise MAX_BYTES in '
                    'lstm_support/storage/files.py if you trust it'
                    % MAX_BYTES)
        return bytes(data)
