"""Split text into words: what a reader sees is what a model reads.

``normalize`` says what counts as the same text. The Moses tokenizer, in its
Python form (https://pypi.org/project/sacremoses/), then finds the words.
"""
from __future__ import absolute_import, division, print_function

import re
import threading
import unicodedata

import six

from lstm_support.storage import OLD_TOKENIZER

try:
    from html import unescape
except ImportError:  # Python 2
    from HTMLParser import HTMLParser
    unescape = HTMLParser().unescape

# The tokenizer of older files, which name it or none: Moses, then lower case.
OLD = OLD_TOKENIZER

# The languages of which sacremoses knows the abbreviations, and three more.
LANGUAGES = tuple(
    'as bn ca cs de el en es et fi fr ga gu hi hu is it ja kn ko lt lv ml mni '
    'mr nl or pa pl pt ro ru sk sl sv ta tdt te th yue zh'.split())


def name(lang='en'):
    """Return the name of a tokenizer; dictionaries and models store it.

    Parameters
    ----------
    lang : str, optional
        Code of the language.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If the language is not in ``LANGUAGES``.
    """
    lang = re.split('[-_]', lang.lower())[0]  # fr-FR is fr
    if lang not in LANGUAGES:
        raise ValueError('there is no language %r; the languages are %s'
                         % (lang, ', '.join(LANGUAGES)))
    return 'Moses (%s), text rule 2' % lang


def tokenize(text, tokenizer=name()):
    """Split a text into words, in lower case.

    May be called from several threads.

    Parameters
    ----------
    text : str
        Text of any length; line breaks count as spaces.
    tokenizer : str, optional
        A result of :func:`name`, or ``OLD``.

    Returns
    -------
    list of str
        Words and punctuation, with Moses's escapes: ``&apos;`` for an
        apostrophe, ``&quot;`` for a quotation mark and so on.

    Raises
    ------
    ImportError
        If the package sacremoses is missing.
    TypeError
        If `text` is not text.
    ValueError
        If there is no such tokenizer.
    """
    if six.PY2 and isinstance(text, bytes):
        text = text.decode('utf-8')
    if not isinstance(text, six.text_type):
        raise TypeError('a text must be a str, not %s: %r'
                        % (type(text).__name__, text))
    moses = _moses(tokenizer)
    if tokenizer == OLD:
        # Lower case comes last: abbreviations have capitals.
        return [word.lower() for word in moses.tokenize(text)]
    return moses.tokenize(normalize(text).lower())


def is_known(tokenizer):
    """Return whether there is a tokenizer of this name."""
    return tokenizer == OLD or tokenizer in map(name, LANGUAGES)


def shown(text, tokenizer):
    """Return the text in which the words of :func:`tokenize` are found."""
    return text if tokenizer == OLD else normalize(text)


# ---- Words in their text ----------------------------------------------------

_MOSES = [('&apos;', "'"), ('&quot;', '"'), ('&#124;', '|'), ('&lt;', '<'),
          ('&gt;', '>'), ('&#91;', '['), ('&#93;', ']'), ('&amp;', '&')]


def unescaped(word):
    """Return a word of :func:`tokenize` without Moses's escapes."""
    for code, sign in _MOSES:
        word = word.replace(code, sign)
    return word


def escaped(word):
    """Return a word with Moses's escapes: the inverse of `unescaped`."""
    for code, sign in reversed(_MOSES):  # & comes first
        word = word.replace(sign, code)
    return word


def as_written(text, words):
    """Locate the words of :func:`tokenize` in their text.

    Parameters
    ----------
    text : str
        See :func:`shown`.
    words : list of str

    Returns
    -------
    list of (str, str)
        For each word the text before it and the word as written; last the
        text after the final word, and ''. A word that cannot be located is
        returned unchanged, preceded by a space.
    """
    pairs, place, done, lower = [], 0, 0, text.lower()
    # In lower case, a few letters become two, such as the Turkish capital I.
    origin = [n for n, char in enumerate(text) for _ in char.lower()]
    origin.append(len(text))
    for word in map(unescaped, words):
        start = lower.find(word, place)
        if start < 0 or lower[place:start].strip():
            pairs.append((' ', word))
            continue
        place = start + len(word)
        begin, end = origin[start], origin[place]
        pairs.append((text[done:begin], text[begin:end]))
        done = end
    return pairs + [(text[done:], '')]


# ---- Normalization ----------------------------------------------------------

# Unicode's default ignorable characters (DerivedCoreProperties.txt), without
# the two joiners: byte order marks, direction marks, soft hyphens, variation
# selectors and other invisible characters.
_INVISIBLE = [(0xad, 0xad), (0x34f, 0x34f), (0x61c, 0x61c), (0x115f, 0x1160),
              (0x17b4, 0x17b5), (0x180b, 0x180f), (0x200b, 0x200b),
              (0x200e, 0x200f), (0x202a, 0x202e), (0x2060, 0x206f),
              (0x3164, 0x3164), (0xfe00, 0xfe0f), (0xfeff, 0xfeff),
              (0xffa0, 0xffa0), (0xfff0, 0xfffb), (0x1bca0, 0x1bca3),
              (0x1d173, 0x1d17a), (0xe0000, 0xe0fff)]

# Characters of a keyboard, and the typographic signs that stand for them.
_TYPED = [
    (u'"', u'\u201c\u201d\u201e\u201f\xab\xbb\u2033\u2036\u301d\u301e\u301f'
           u'\u275d\u275e\u300c\u300d\u300e\u300f'),
    (u"'", u'\u2018\u2019\u201a\u201b\u2039\u203a\u2032\u2035\u02b9\u02bb'
           u'\u02bc\xb4\u02ca\uff07'),
    (u'-', u'\u2010\u2011\u2012\u2013\u2043\u2212\ufe58\ufe63\uff0d'),
    (u' - ', u'\u2014\u2015\u2e3a\u2e3b'),
    (u'...', u'\u2026\u22ef'), (u'..', u'\u2025'),
    (u' ', u'\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008'
           u'\u2009\u200a\u202f\u205f\u3000\u2800'),
    (u'\n', u'\x0b\x0c\x1c\x1d\x1e\x1f\u2028\u2029'),
    (u'.', u'\u2024'), (u'!!', u'\u203c'), (u'!?', u'\u2049'),
    (u'?!', u'\u2048'), (u'??', u'\u2047'), (u'~', u'\u301c'),
    (u'/', u'\u2044\u2215'), (u'ff', u'\ufb00'), (u'fi', u'\ufb01'),
    (u'fl', u'\ufb02'), (u'ffi', u'\ufb03'), (u'ffl', u'\ufb04'),
    (u'st', u'\ufb05\ufb06')]


def _table():
    """Return the table of characters that are replaced or removed."""
    table = dict.fromkeys(list(range(9)) + list(range(14, 32)) + [127])
    for first, last in _INVISIBLE:
        table.update(dict.fromkeys(range(first, last + 1)))
    for code in range(0xff01, 0xff5f):  # full width
        table[code] = six.unichr(code - 0xfee0)
    for typed, signs in _TYPED:
        table.update((ord(sign), typed) for sign in signs)
    for code in range(128, 160):  # as browsers show them: Windows-1252
        sign = six.int2byte(code).decode('cp1252', 'ignore')
        table[code] = table.get(ord(sign), sign) if sign else None
    if not six.PY2:  # in which surrogates can be halves of a character
        table.update(dict.fromkeys(range(0xd800, 0xe000), u'\ufffd'))
    return table


_CHARACTERS = _table()
_ENTITY = re.compile(
    u'&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});')
_TWICE = re.compile(u'&amp;(?=(?:#[0-9]{1,7}|[A-Za-z]{2,6});)')  # &amp;#39;
_BREAK = re.compile(u'</?(?:br|p|hr|div|li|h[1-6])(?:\\s[^<>]{0,99})?/?>',
                    re.I)
_MARKUP = re.compile(u'</?(?:i|b|em|strong|u|span|a)(?:\\s[^<>]{0,199})?>',
                     re.I)
_ACCENT = re.compile(u'(?<=[^\\W\\d_])`(?=[^\\W\\d_])')  # don`t
_QUOTE = re.compile(u"''|``")  # in pairs, as in LaTeX
_DASHES = re.compile(u' ?--+ ?')
# Joiners outside of emoji and of the scripts from Hebrew on: only there do
# they change the shape of a character.
_JOINER = re.compile(u'(?<![\u0590-\u1fff\u2190-\uffff])[\u200c\u200d]+|'
                     u'[\u200c\u200d]+(?![\u0590-\u1fff\u2190-\uffff])'
                     if six.PY2 else
                     u'(?<![\u0590-\u1fff\u2190-\U0010ffff])[\u200c\u200d]+|'
                     u'[\u200c\u200d]+(?![\u0590-\u1fff\u2190-\U0010ffff])')
_RUN = re.compile(u'([^\\w\\s]|_)\\1{3,}')


def normalize(text):
    """Give texts that look the same the same characters.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
        In NFC, and with the signs that a keyboard types.
    """
    text = _normalize_once(text)
    while u'<' in text:  # signs that were removed may have split a tag
        before, text = text, _normalize_once(text)
        if text == before:
            break
    return text


def _normalize_once(text):
    if u'&' in text:
        text = _TWICE.sub(u'&', text)
        text = _ENTITY.sub(lambda match: unescape(match.group()), text)
    if u'<' in text:
        text = _MARKUP.sub(u'', _BREAK.sub(u' ', text))
    if not _is_ascii(text):
        text = unicodedata.normalize('NFC', text)
    text = text.translate(_CHARACTERS)
    if not _is_ascii(text):
        # Again: the characters and joiners that were removed may have
        # separated letters from their accents.
        text = unicodedata.normalize('NFC', _JOINER.sub(
            u'', unicodedata.normalize('NFC', text)))
    text = _QUOTE.sub(u'"', _ACCENT.sub(u"'", text))
    text = _DASHES.sub(u' - ', text)     # word--word, a dash as typed
    return _RUN.sub(u'\\1\\1\\1', text)  # !!!!!!!! is !!!


def _is_ascii(text):
    return len(text) == len(text.encode('ascii', 'ignore'))


# ---- Tokenizers -------------------------------------------------------------

_made = {}  # tokenizers by name; importing sacremoses takes a second
_lock = threading.Lock()


def _moses(tokenizer):
    """Return the tokenizer of this name, which is made on first use."""
    with _lock:
        if tokenizer not in _made:
            if not is_known(tokenizer):
                raise ValueError('there is no tokenizer %r' % (tokenizer,))
            _made[tokenizer] = (
                _fast_tokenizer()('en') if tokenizer == OLD else
                _new_tokenizer(re.search(r'\((\w+)\)', tokenizer).group(1)))
        return _made[tokenizer]


def _fast_tokenizer():
    """Return the class MosesTokenizer with faster parts, for the same words.

    It makes sets of thousands of letters once, not for every full stop. It
    replaces full stops in a row at once, not one by one.
    """
    try:
        from sacremoses import MosesTokenizer
    except ImportError:
        raise ImportError(
            'reading text needs the package sacremoses: '
            'pip install -r requirements.txt, or start with "uv run"')
    lower = frozenset(MosesTokenizer.IsLower)
    alpha = frozenset(MosesTokenizer.IsAlpha)
    digits = frozenset('0123456789')
    dots = re.compile(r'\.(\.+)(?=(.|\n)?)')
    marked_dots = re.compile(r'((?:DOT)*)DOTMULTI')

    class Tokenizer(MosesTokenizer):
        def __init__(self, lang, capitals=True):
            MosesTokenizer.__init__(self, lang)
            self.capitals = capitals  # whether they mark sentence starts
            spelt = (lambda word: word) if capitals else (
                lambda word: word.lower())
            self.before_numbers = frozenset(
                map(spelt, self.NUMERIC_ONLY_PREFIXES))
            self.abbreviations = frozenset(map(
                spelt, self.NONBREAKING_PREFIXES)) - self.before_numbers

        def replace_multidots(self, text):
            if 'DOTMULTI' in text:
                return MosesTokenizer.replace_multidots(self, text)
            return dots.sub(
                lambda match: ' %sDOTMULTI%s' % (
                    'DOT' * len(match.group(1)), ' ' * bool(match.group(2))),
                text)

        def restore_multidots(self, text):
            return marked_dots.sub(
                lambda match: '.' * (1 + len(match.group(1)) // 3), text)

        def handles_nonbreaking_prefixes(self, text):
            """Split full stops off words, but not off abbreviations."""
            words = text.split()
            for n, word in enumerate(words):
                before = word[:-1]
                if before and word[-1] == '.':
                    after = words[n + 1][0] if n + 1 < len(words) else ''
                    if not self._is_abbreviation(before, after):
                        words[n] = before + ' .'
            return ' '.join(words)

        def _is_abbreviation(self, before, after):
            return (before in self.abbreviations
                    or '.' in before and not alpha.isdisjoint(before)
                    or self.capitals and after in lower
                    or before in self.before_numbers and after in digits)

    return Tokenizer


# Signs of scripts without spaces between words: Chinese and Japanese; Thai,
# Lao, Burmese and Khmer, whose vowels and tones stay with their letter.
_SIGNS = (u'[\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff'
          u'\U00020000-\U0003ffff]|[\u0e01-\u0eff\u1000-\u109f\u1780-\u17ff]')
# A flag, which is two letters; a keycap; an emoji with its skin tone, and
# other emoji that joiners attach to it.
_EMOJI = (u'[\U0001f1e6-\U0001f1ff]{2}|[0-9#*]\u20e3|{one}(?:\u200d{one})*'
          .replace(u'{one}', u'[\u2190-\u2bff\u3030\u303d\u3297\u3299'
                   u'\U0001f000-\U0001faff][\U0001f3fb-\U0001f3ff]?'))


def _new_tokenizer(lang):
    """Return a tokenizer of normalized text in lower case."""
    fast = _fast_tokenizer()
    marks = u''.join(char for char in map(six.unichr, range(0x300, 0x20000))
                     if unicodedata.category(char)[0] == 'M')
    # Moses splits off every sign outside this class.
    inside = fast.IsAlnum + marks + (
        u'\u200c\u200d\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff')
    pad = re.compile(u"(%s|(?:%s)[%s]*|[^%s\\s\\.'\\`\\,\\-])"
                     % (_EMOJI, _SIGNS, marks, inside)), u' \\1 '
    pad_ascii = re.compile(u"([^a-z0-9\\s\\.'\\`\\,\\-])"), u' \\1 '

    def make(pad):
        moses = fast(lang, capitals=False)
        moses.PAD_NOT_ISALNUM = pad
        return moses

    full, of_ascii = make(pad), make(pad_ascii)  # the second is faster

    class Tokenizer(object):
        @staticmethod
        def tokenize(text):
            return (of_ascii if _is_ascii(text) else full).tokenize(text)

    return Tokenizer
