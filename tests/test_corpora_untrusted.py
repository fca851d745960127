"""Archives, tables and vectors: damaged or malicious ones are refused."""
import gzip
import io
import re
import tarfile
import zipfile

import pytest

import imdb
from lstm_support import corpora
from test_storage_untrusted import (
    MB, archive_file, attempt, load_vectors, named, read_reviews, refused,
    zip_file)


# ---- Archives ---------------------------------------------------------------

def member(name, kind=tarfile.REGTYPE, size=0):
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info


@pytest.mark.parametrize('info', [
    member('/etc/passwd'), member('d/../../x'), member('..', tarfile.DIRTYPE)]
    + [member('d/train/pos/2.txt', kind) for kind in (
        tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE,
        tarfile.FIFOTYPE)])
def test_members_that_are_no_reviews(tmp_path, info):
    data = archive_file([(info, None)])
    words = re.escape(info.name) + ' is a link or a device, or not inside'
    refused(read_reviews, tmp_path / 'x', data, words)
    refused(read_reviews, tmp_path / 'x', gzip.compress(data), words)


def test_a_sparse_member(tmp_path):
    """512 bytes that claim to be 8 GB of zeros."""
    header = bytearray(member('d/train/pos/2.txt', tarfile.GNUTYPE_SPARSE)
                       .tobuf(tarfile.GNU_FORMAT))
    header[386:398] = header[398:410] = b'%011o\0' % 0  # a piece of nothing
    header[483:495] = b'%011o\0' % (8 * 2 ** 30 - 1)
    header[148:156] = b' ' * 8
    header[148:156] = b'%06o\0 ' % sum(header)
    refused(read_reviews, tmp_path / 'x',
            bytes(header) + archive_file(), 'link or a device')


def zip_member(name, mode=0o100644):
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


@pytest.mark.parametrize('info, words', [
    (zip_member('/etc/passwd'), '/etc/passwd is'),
    (zip_member('d/../../x'), 'd/../../x is'), (zip_member('../x/'), '../x/ '),
    (zip_member('d/train/pos/2.txt', 0o120777), 'd/train/pos/2.txt is a link'),
    (zip_member('../a\n\x1b[31m' + 'b' * 300), r'\.\./a \[31mb{91}\.\.\. is'),
])
def test_zip_members_that_are_no_reviews(tmp_path, info, words):
    refused(read_reviews, tmp_path / 'x', zip_file([(info, b'target')]),
            words)


@pytest.mark.filterwarnings('ignore:Duplicate name')
def test_zip_members_without_a_name_and_of_the_same_name(tmp_path):
    """As when it is unpacked, the later one counts."""
    info = zip_member('x')
    info.filename = ''
    path = tmp_path / 'x'
    path.write_bytes(zip_file([('d/train/pos/1.txt', b'Later.'),
                               (info, b'A text.')]))
    assert zipfile.ZipFile(str(path)).namelist()[-1] == ''
    texts = [review.text for review in imdb.read_reviews(str(path))]
    assert sorted(texts) == ['Bad.', 'Dull.', 'Dull.', 'Fine.', 'Later.']


def test_a_zip_archive_that_is_encrypted_or_damaged(tmp_path):
    data = zip_file(packed=zipfile.ZIP_STORED)
    encrypted = bytearray(data)
    for signature, place in ((b'PK\x03\x04', 6), (b'PK\x01\x02', 8)):
        encrypted[data.index(signature) + place] |= 1
    refused(read_reviews, tmp_path / 'x', bytes(encrypted),
            'd/train/pos/1.txt.* is encrypted')
    refused(read_reviews, tmp_path / 'x', data.replace(b'Good.', b'Food.', 1),
            'Bad CRC-32')
    end = data.index(b'PK\x05\x06')
    for damaged, words in (
            (data[:end], 'File is not a zip file'),
            # The first thing that fuzzing this loader found.
            (data[:end] + b'PK\x06\x07' + b'a' * 16 + data[end:],
             'span multiple disks'),
            (b'PK', 'File is not a zip file')):
        refused(read_reviews, tmp_path / 'x', damaged, words)


def test_a_tar_archive_that_holds_a_zip_archive_last(tmp_path):
    data = archive_file([(member('d/more.zip'), zip_file())])
    (tmp_path / 'x').write_bytes(data)
    assert len(imdb.read_reviews(str(tmp_path / 'x'))) == 4


# ---- Tables, vectors --------------------------------------------------------

@pytest.mark.parametrize('kind, data, words', [
    ('csv', b'text,label\n"' + b'a' * MB, 'no row with a text'),
    ('csv', b'"text\nlabel",b,c\n', 'has the columns text label, b, c; name'),
    ('csv', b'a,' * 10 ** 5, r'has the columns a, a, (a, )*'),
    ('csv', b'text,label\nx,' + b'y' * MB + b'\n', 'has 1: yyyy'),
    ('csv', b'text,label\n' + b''.join(b'x,y%d\n' % n for n in range(30)),
     'column of labels has 30 different values in 30 rows'),
    ('csv', b'a\0b\0', 'has the columns ab; name'),
    ('tsv', b'text\tlabel\nx\n', 'no row with a text and a'),
    ('jsonl', b'[' * 10 ** 5, 'is not JSON'),
    ('json', b'[' * 10 ** 5 + b']' * 10 ** 5, 'is not JSON'),
    ('json', b'[' + b'{"a":' * 10 ** 5, 'is not JSON'),
    ('jsonl', b'{"text": "a", "label": ' + b'9' * 10 ** 6 + b'}',
     'is not JSON'),
    ('jsonl', b'{"text": {"a": ["b"]}, "label": 1}', 'no row with a'),
    ('jsonl', b'{"text": "a", "label": ["b", "c"]}',
     r'labels or groups \[.*b.*c'),
    ('jsonl', b'{"text": "\\ud800", "label": "\\ud800"}', 'no row with a'),
    ('csv', b'text,label\n\n', 'no row with a text and a label'),
    ('csv', b'text,label\na,b,c\n', 'no row with a text and a label'),
    ('csv', b'', 'is empty'), ('jsonl', b'\n', 'is empty'),
    ('json', b'[]', 'is empty'), ('json', b'7', 'no JSON object'),
    ('jsonl', b'{}\n{}', 'is empty'), ('json', b'[1]', 'no JSON object'),
    ('jsonl', b'{"text": "a"}\n{"text"', 'has the columns text; name'),
    ('json', b'{"text": ["a", "b"], "label": [1]}', 'has 1: 1'),
    ('json', b'{"columns": ["text", "label"], "data": [1]}', 'is not JSON'),
    ('jsonl', b'{"id": 7}\n\n{"text": {}, "label": 1}', 'no row with a text'),
    ('jsonl', b'{"text": "a", "label": 1, "group": ["x", "y"]}',
     "item 1 has the labels or groups .*'x', 'y'"),
    ('csv', b'text,label\ncaf\xe9,a\n', 'is not UTF-8'),
    ('csv.gz', gzip.compress(b'text,label\na,b')[:-3], 'cannot be read'),
], ids=lambda value: repr(value)[:30])
def test_hostile_tables(tmp_path, kind, data, words):
    def load(path):
        corpora.read_reviews(corpora.Source(path, test_portion=0.5))
    refused(load, named(tmp_path, kind), data, words)


@pytest.mark.parametrize('data, words', [
    (b'', 'has a vector for none of the words'),
    (b'good 1 2\n', 'line 1 of .* its 3 numbers .* has 2; set dim_proj=2'),
    (b'x 1 2\ngood 1 2 x\n', 'line 2 of .* is not a word and its 3 numbers'),
    *((line, 'line 1 of .* is not a word') for line in (
        b'good 1 2 nan\n', b'good 1 2 1e999\n', b'good\n',
        b'good ' + b'1 ' * MB, b'good ' + b'9' * 50000 + b' 1 1\n')),
    (b'\xff 1 2 3\n', 'line 1 of .* is not a word .*utf-8'),
    (gzip.compress(b'good 1 2 3\n')[:-3], 'is not a word .*end-of-stream'),
    (gzip.compress(b'a' * (100 * MB)), 'has a vector for none of the words'),
], ids=lambda value: repr(value)[:30])
def test_hostile_vectors(tmp_path, data, words):
    refused(load_vectors, tmp_path / 'x', data, words)


@pytest.mark.parametrize('form', ['gz', 'bz2', 'xz'])
def test_damaged_compression(tmp_path, form):
    """Every library raises its own errors; one of LZMA once came through."""
    path = tmp_path / 'x'
    with tarfile.open(str(path), 'w:' + form) as archive:
        with tarfile.open(fileobj=io.BytesIO(archive_file())) as plain:
            for info in plain:
                archive.addfile(info, plain.extractfile(info))
    assert len(imdb.read_reviews(str(path))) == 4
    complete = path.read_bytes()
    for n in range(len(complete)):
        damaged = bytearray(complete)
        damaged[n] ^= 0x55
        attempt(read_reviews, path, bytes(damaged))
