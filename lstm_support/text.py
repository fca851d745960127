"""Split text into words, the same for texts that look the same.

``normalize`` says what counts as the same text. The Moses tokenizer, in its
Python form (https://pypi.org/project/sacremoses/), then finds the words.
"""
import functools
import html
import re
import unicodedata

from lstm_support.storage import OLD_TOKENIZER as OLD

# The languages of which sacremoses knows the abbreviations, and three more.
LANGUAGES = tuple(
    'as bn ca cs de el en es et fi fr ga gu hi hu is it ja kn ko lt lv ml mni '
    'mr nl or pa pl pt ro ru sk sl sv ta tdt te th yue zh'.split())


def name(lang='en'):
    """Return the name of a language's tokenizer, which models store."""
    lang = re.split('[-_]', lang.lower())[0]  # fr-FR is fr
    if lang not in LANGUAGES:
        raise ValueError('there is no language %r; the languages are %s'
                         % (lang, ', '.join(LANGUAGES)))
    return 'Moses (%s), text rule 2' % lang


def tokenize(text, tokenizer=name()):
    """Split a text into words, in lower case.

    `tokenizer` is a result of :func:`name`, or ``OLD``, that of files which
    name none. Words have Moses's escapes: ``&apos;`` for an apostrophe.
    """
    if not isinstance(text, str):
        raise TypeError('a text must be a str, not %s: %r'
                        % (type(text).__name__, text))
    if tokenizer == OLD:
        # Lower case comes last: abbreviations have capitals.
        return [word.lower() for word in _moses('en', True).tokenize(text)]
    if not is_known(tokenizer):
        raise ValueError('there is no tokenizer %r' % (tokenizer,))
    text = normalize(text).lower()
    moses = _moses(_LANGUAGE_OF[tokenizer], False, text.isascii())
    return moses.tokenize(text)


def is_known(tokenizer):
    """Return whether there is a tokenizer of this name."""
    return tokenizer == OLD or tokenizer in _LANGUAGE_OF


_LANGUAGE_OF = {name(lang): lang for lang in LANGUAGES}


def shown(text, tokenizer):
    """Return the text in which the words of :func:`tokenize` are found."""
    return text if tokenizer == OLD else normalize(text)


# ---- Words in their text ----------------------------------------------------

#: Returns a word of :func:`tokenize` without Moses's escapes.
unescaped = html.unescape


def as_written(text, words):
    """Locate the words of :func:`tokenize` in a text of :func:`shown`.

    Returns for each word the text before it and the word as written; last the
    text after all words, and ''. A word that is not found is unchanged.
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

# Unicode's default ignorable characters (DerivedCoreProperties.txt), such as
# soft hyphens, without the two joiners.
_INVISIBLE = re.compile(
    '[\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f'
    '\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb'
    '\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]')

# Characters of a keyboard, and the typographic signs that stand for them.
_TYPED = [
    ('"', '\u201c\u201d\u201e\u201f\xab\xbb\u2033\u2036\u301d\u301e\u301f'
          '\u275d\u275e\u300c\u300d\u300e\u300f'),
    ("'", '\u2018\u2019\u201a\u201b\u2039\u203a\u2032\u2035\u02b9\u02bb'
          '\u02bc\xb4\u02ca\uff07'),
    ('-', '\u2010\u2011\u2012\u2013\u2043\u2212\ufe58\ufe63\uff0d'),
    (' - ', '\u2014\u2015\u2e3a\u2e3b'),
    ('...', '\u22ef'),
    (' ', '\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008'
          '\u2009\u200a\u202f\u205f\u3000\u2800'),
    ('\n', '\x0b\x0c\x1c\x1d\x1e\x1f\u2028\u2029'),
    ('~', '\u301c'), ('/', '\u2044\u2215')]


def _characters():
    """Return a table of the characters that are replaced or removed."""
    table = dict.fromkeys([*range(9), *range(14, 32), 127])
    # Dots, !! and ??, ligatures, signs of full width: what they stand for.
    for code in [*range(0x2024, 0x2027), 0x203c, *range(0x2047, 0x204a),
                 *range(0xfb00, 0xfb07), *range(0xff01, 0xff5f)]:
        table[code] = unicodedata.normalize('NFKC', chr(code))
    for typed, signs in _TYPED:
        table.update((ord(sign), typed) for sign in signs)
    for code in range(128, 160):  # as browsers show them: Windows-1252
        sign = bytes([code]).decode('cp1252', 'ignore')
        table[code] = table.get(ord(sign), sign) if sign else None
    table.update(dict.fromkeys(range(0xd800, 0xe000), '\ufffd'))
    return table


_CHARACTERS = _characters()
_ENTITY = re.compile(
    '&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});')
_TWICE = re.compile('&amp;(?=(?:#[0-9]{1,7}|[A-Za-z]{2,6});)')  # &amp;#39;
_BREAK = re.compile(r'</?(?:br|p|hr|div|li|h[1-6])(?:\s[^<>]{0,99})?/?>', re.I)
_MARKUP = re.compile(r'</?(?:i|b|em|strong|u|span|a)(?:\s[^<>]{0,199})?>',
                     re.I)
_ACCENT = re.compile(r'(?<=[^\W\d_])`(?=[^\W\d_])')  # don`t
_QUOTE = re.compile("''|``")  # in pairs, as in LaTeX
_DASHES = re.compile(' ?--+ ?')
# Joiners outside of emoji and of the scripts from Hebrew on: only there do
# they change the shape of a character.
_SHAPED = '[\u0590-\u1fff\u2190-\U0010ffff]'
_JOINER = re.compile('(?<!%s)[\u200c\u200d]+|[\u200c\u200d]+(?!%s)'
                     % (_SHAPED, _SHAPED))
_RUN = re.compile(r'([^\w\s]|_)\1{3,}')
_PASSES = 21  # at most: tags in tags in tags would take one for each level


def normalize(text):
    """Give texts that look the same the same characters, in NFC."""
    for _ in range(_PASSES):
        before = text
        if '&' in text:
            text = _TWICE.sub('&', text)
            text = _ENTITY.sub(lambda match: html.unescape(match[0]), text)
        if '<' in text:
            text = _MARKUP.sub('', _BREAK.sub(' ', text))
        if not text.isascii():
            text = _INVISIBLE.sub('', unicodedata.normalize('NFC', text))
        text = text.translate(_CHARACTERS)
        if not text.isascii():
            # Again: the characters and joiners that were removed may have
            # separated letters from their accents.
            text = unicodedata.normalize('NFC', _JOINER.sub(
                '', unicodedata.normalize('NFC', text)))
        text = _QUOTE.sub('"', _ACCENT.sub("'", text))
        text = _DASHES.sub(' - ', text)  # word--word, a dash as typed
        text = _RUN.sub(r'\1\1\1', text)  # !!!!!!!! is !!!
        # Signs that were removed may have split a tag.
        if '<' not in text or text == before:
            break
    return text


# ---- Tokenizers -------------------------------------------------------------

# Signs of scripts without spaces between words: Chinese and Japanese; Thai,
# Lao, Burmese and Khmer, whose vowels and tones stay with their letter.
_SIGNS = ('[\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff'
          '\U00020000-\U0003ffff]|[\u0e01-\u0eff\u1000-\u109f\u1780-\u17ff]')
# A flag, which is two letters; a keycap; an emoji with its skin tone, and
# other emoji that joiners attach to it.
_EMOJI = ('[\U0001f1e6-\U0001f1ff]{2}|[0-9#*]\u20e3|{one}(?:\u200d{one})*'
          .replace('{one}', '[\u2190-\u2bff\u3030\u303d\u3297\u3299'
                   '\U0001f000-\U0001faff][\U0001f3fb-\U0001f3ff]?'))


# No lock is held while a tokenizer is made: a process that is forked then
# would wait for it for ever. Two threads may both make one.
@functools.lru_cache(maxsize=None)
def _moses(lang, capitals, is_ascii=False):
    """Return a tokenizer for texts with capitals, or without: ASCII or not."""
    try:  # the import takes a second
        from sacremoses import MosesTokenizer
    except ImportError:
        raise ImportError(
            'reading text needs the package sacremoses: '
            'pip install -r requirements.txt, or start with "uv run"')
    moses, spelt = MosesTokenizer(lang), str if capitals else str.lower
    moses.NONBREAKING_PREFIXES, moses.NUMERIC_ONLY_PREFIXES = [
        set(map(spelt, words)) for words in (
            moses.NONBREAKING_PREFIXES, moses.NUMERIC_ONLY_PREFIXES)]
    # It would make these sets for every word. The class's, since some
    # languages change those of the object.
    alpha, lower = set(MosesTokenizer.IsAlpha), set(MosesTokenizer.IsLower)
    moses.isanyalpha = lambda word: not alpha.isdisjoint(word)
    # Without capitals, a small letter does not say that a sentence goes on.
    moses.islower = lower.issuperset if capitals else lambda letter: False
    if capitals:
        return moses
    # What becomes a word of its own.
    alone = "([^a-z0-9\\s\\.'\\`\\,\\-])"
    if not is_ascii:
        marks = ''.join(char for char in map(chr, range(0x300, 0x20000))
                        if unicodedata.category(char)[0] == 'M')
        inside = MosesTokenizer.IsAlnum + marks + (
            '\u200c\u200d\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff')
        alone = "(%s|(?:%s)[%s]*|[^%s\\s\\.'\\`\\,\\-])" % (
            _EMOJI, _SIGNS, marks, inside)
    moses.PAD_NOT_ISALNUM = re.compile(alone), r' \1 '
    return moses
