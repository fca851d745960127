"""lstm_support/text.py: texts that look the same have the same words."""
import json
import re
import sys

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as some
from sacremoses import MosesTokenizer

from conftest import run_python
from lstm_support import text

NEW = text.name('en')
EXAMPLES = settings(max_examples=200, deadline=None)


# ---- The same for a reader, the same for a model ----------------------------

# Each text, and others that look the same.
SAME = {
    '\u275dSuperb\u275e, \u300cshe\u300d said': ['"Superb", "she" said'],
    '\uff27\uff52\uff45\uff41\uff54\uff01 \uff1f': ['Great! ?'],
    'Well\u2024\u2024\u2024 what\u203c why\u2049': ['Well... what!! why!?'],
    'It&amp;#39;s &amp;quot;fine&amp;quot;': ['It\'s "fine"'],
    'Dr. Who etc. No. It was bad. NO. 5 was.': [
        'DR. WHO ETC. NO. IT WAS BAD. NO. 5 WAS.'],
    'Good.Bad. \xc9cole. \xc9T\xc9.': ['good.bad. \xe9cole. \xe9t\xe9.'],
    '\u0130stanbul': ['i\u0307stanbul'],
    "I don't": ['I don%st' % sign for sign in (
        '\u2018 \xb4 ` \u02bc \u2032 \uff07 \x92 &#39; &apos; &#x27; &#8217; '
        '&rsquo; \u200b\u2019 \u201b').split()],
    '"Superb"': [each.replace('_', 'Superb') for each in (
        '\u201c_\u201d \u201e_\u201c \xab_\xbb \xab\xa0_\xa0\xbb \x93_\x94 '
        '&quot;_&quot; &ldquo;_&rdquo; \uff02_\uff02 \'\'_\'\' ``_\'\''
    ).split(' ')],
    "'Superb'": [each.replace('_', 'Superb') for each in (
        '\u2018_\u2019', '\u201a_\u2018', '\u2039_\u203a', '\x91_\x92')],
    'so - so': ['so%sso' % dash for dash in (
        ' \u2014 ', ' -- ', ' --- ', '\u2014', '--', ' \x96 ', ' \x97 ',
        '\x97', ' \u2013 ', ' \u2212 ', ' \u2015 ', ' &mdash; ',
        ' &ndash;&nbsp;')],
    'well-made': ['well\u2010made', 'well\u2011made', 'well\ufe63made'],
    'wait...': ['wait\u2026', 'wait\x85', 'wait....', 'wait' + '.' * 99,
                'wait&hellip;'],
    'wait... what': ['wait\u2026 what'],
    'Bad!!! *** ___ ~~~': ['bad' + '!' * 50 + ' ***** ' + '_' * 9 + ' ~~~~'],
    'A caf\xe9 scene': ['A cafe\u0301 scene', 'A cafe\u200b\u0301 scene',
                        'A caf&eacute; scene'],
    'hay nh\u1ea5t Vi\u1ec7t': ['hay nha\u0302\u0301t Vie\u0323\u0302t',
                                'hay nh\u1ea5t Vie\u0302\u0323t'],
    '\ud55c\uad6d': ['\u1112\u1161\u11ab\u1100\u116e\u11a8'],
    '\u212bngstr\xf6m': ['A\u030angstro\u0308m'], '\u30ac': ['\u30ab\u3099'],
    '\ufb01nal o\ufb03cial 10\u204410': ['final official 10/10'],
    'Great film': [' \t Great \r\n film \n', '\u202agreat\u202c film'] + [
        'Great%sfilm' % blank for blank in (
            '\xa0', '\u202f', '&nbsp;', '&#160;', '\u3000', '\u2009', '\x0b',
            '\u2028', '\x1f', '\u2003 ', '\ufeff ', '\u200b ')],
    'great': ['gr%seat%s' % (sign, sign) for sign in (
        '\u2060 \x00 \x07 \u200e \u200d \u200c \ufe0f \x7f \U000e0041 \ufeff '
        '\xad').split(' ')],
    'Good. Really good.': ['Good.%sReally good.' % tag for tag in (
        '<br /><br />', '<br>', '<BR/>', '<br  />', '</br>', '<br\n/>',
        '<br clear="all" />', '&lt;br /&gt;')] + [
        'Good. <EM>Really</EM> good.', '<p>Good.</p><p>Really good.</p>',
        '<div class="x">Good.</div><span style="y">Really</span> good.',
        'Good. Really' + '<i ' * 9 + '/>' * 9 + ' good.'],
    'Good & bad: 1 < 2 > 0': [
        'Good &amp; bad: 1 &lt; 2 &gt; 0', 'Good &#38; bad: 1 < 2 > 0'],
    'good \u2764 film': ['good \u2764\ufe0f film'],
    'good \U0001f600 \u263a': ['good\U0001f600\u263a\ufe0e'],
    'good \U0001f44d\U0001f3fd!': ['good \U0001f44d\U0001f3fd !'],
}
PAIRS = [(one, other) for one, others in SAME.items() for other in others]


@pytest.mark.parametrize('one, other', PAIRS, ids=map(ascii, PAIRS))
def test_what_looks_the_same_has_the_same_words(one, other):
    assert text.tokenize(one) == text.tokenize(other) != []


@pytest.mark.parametrize('one, other', [
    ('resume', 'r\xe9sum\xe9'), ('it is', 'its'), ('good', 'goood'),
    ('wait.', 'wait...'), ('bad!', 'bad!!!'), ('10-12', '10 12'),
    ('\U0001f44d', '\U0001f44e'), ('1.5', '15'), ('a < b', 'a b'),
    ('\U0001f44d\U0001f3fd', '\U0001f44d\U0001f3ff'), ('co2', 'co\xb2'),
])
def test_what_looks_different_has_other_words(one, other):
    assert text.tokenize(one) != text.tokenize(other)


def test_words_and_signs():
    assert text.tokenize('Mr. Brown\'s "Film" isn\'t bad: 8.5/10 & LONG...'
                         ) == [
        'mr.', 'brown', '&apos;s', '&quot;', 'film', '&quot;', 'isn',
        '&apos;t', 'bad', ':', '8.5', '/', '10', '&amp;', 'long', '...']
    assert text.tokenize('Never again. No. 5 was worse, e.g. this') == [
        'never', 'again', '.', 'no.', '5', 'was', 'worse', ',', 'e.g.',
        'this']
    assert text.tokenize('great' + '.' * 40000) == ['great', '...']
    for empty in ('', ' \n', '\ufeff', '\u200b\xad', '<br /><br>'):
        assert text.tokenize(empty) == []


# ---- Languages and scripts --------------------------------------------------

@pytest.mark.parametrize('lang, marked', [
    ('fr', 'L\u2019|histoire n\u2019|est pas tr\xe8s dr\xf4le|, '
           'M. Dupont\xa0!'),
    ('de', 'Ein sch\xf6ner Film|, z.B. f\xfcr Dr. M\xfcller|.'),
    ('it', "Com'|\xe8 bello"),
    ('ta', '\u0b85\u0bb0\u0bc1\u0bae\u0bc8\u0baf\u0bbe\u0ba9 '
           '\u0baa\u0b9f\u0bae\u0bcd|.'),
    # Letter by letter, each with its vowels and tones.
    ('th', '\u0e14\u0e35|\u0e21|\u0e32|\u0e01'),
    ('zh', '\u5f88|\u597d|\u770b|\u3002'),
    ('ja', '\u9762|\u767d|\u3044|\u6620|\u753b|\u3067|\u3059|\u3002'),
    ('ko', '\uc815\ub9d0 \uc7ac\ubbf8\uc788\ub294 \uc601\ud654|.'),
    # Without an own list of abbreviations: Persian, with a joiner; Arabic;
    # Hebrew; Hindi with conjuncts; Russian.
    ('en', '\u0646\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645|.'),
    ('en', '\u0641\u064a\u0644\u0645 \u0631\u0627\u0626\u0639|\u060c'),
    ('en', '\u05e1\u05e8\u05d8 \u05d8\u05d5\u05d1|!'),
    ('hi', '\u0905\u091a\u094d\u091b\u0940 '
           '\u092b\u093f\u0932\u094d\u092e|\u0964'),
    ('ru', '\u041e\u0447\u0435\u043d\u044c \u043c\u0438\u043b\u043e|.')])
def test_languages(lang, marked):
    """Words end at blanks and at the marks, which the review lacks."""
    words = re.sub("['\u2019]", '&apos;', marked.lower().replace('|', ' '))
    assert text.tokenize(marked.replace('|', ''), text.name(lang)) == (
        words.split())


def test_every_language_of_the_tokenizer_works():
    for lang in text.LANGUAGES:
        rule = text.name(lang)
        assert text.is_known(rule) and lang in rule
        assert text.tokenize('A 1 B.', rule)[:2] == ['a', '1']
    with pytest.raises(ValueError, match="no language 'xx'; the languages are "
                                         'as, bn'):
        text.name('xx')
    for rule in ('Moses (xx), text rule 2', 'Moses (en), text rule 3', ''):
        assert not text.is_known(rule)
        with pytest.raises(ValueError, match='there is no tokenizer'):
            text.tokenize('a', rule)


@pytest.mark.parametrize('emoji', [
    '\U0001f600', '\U0001f44d\U0001f3fd', '\u2764', '\U0001f1eb\U0001f1f7',
    '\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466',
    '\U0001f469\U0001f3fd\u200d\U0001f4bb', '1\u20e3', '#\u20e3',
    '\U0001f3f3\u200d\U0001f308', '\u2764\u200d\U0001f525', '\u2b50',
])
def test_an_emoji_is_one_word(emoji):
    for review, words in (('so %s!', ['so', emoji, '!']),
                          ('so%sgood', ['so', emoji, 'good']),
                          ('%s', [emoji]), ('%s' * 2, [emoji] * 2)):
        review = review.replace('%s', emoji)
        assert text.tokenize(review) == words
    with_selectors = emoji.replace('\u200d', '\ufe0f\u200d') + '\ufe0f'
    assert text.tokenize(with_selectors) == [emoji]


# ---- The old rule, and properties of the new one ----------------------------

NASTY = [
    '', '... .... .', 'A. b', 'No. 5 no. five.', 'Mr. X. Nos. 1-2. nos. x',
    'e.g. this, i.e. that.', 'DOTMULTI DOTDOTMULTI ... DOT', 'x...\n...y',
    "isn't 'quoted' ''x'' `y` ``z'' 90's", '1,000.50 1,a a,1 ,, 1,',
    '<br /><br />&amp; &lt; | [x] {y}', 'cafe\u0301 \ufeffx \xadz',
    'a\x00b\x1fc\x85d\u2028e\u3000f', 'http://x.y/z?a=1&b=2 @x #y a_b',
    'end. \u201cQuote.\u201d end.) End', '\u0130. i\u0307 \xdf. \u01c5.',
    'a--b -- c --- @-@ -', 'x. ' * 50, 'Ph.D. U.S. u.s. a.m. 5 p.m. .']


@pytest.fixture(scope='module')
def moses():
    """The words of the plain tokenizer, in lower case."""
    tokenizer = MosesTokenizer('en')
    return lambda review: [word.lower()
                           for word in tokenizer.tokenize(review)]


def test_the_old_rule_is_the_plain_tokenizer(moses):
    for review in NASTY + [side for pair in PAIRS for side in pair]:
        assert text.tokenize(review, text.OLD) == moses(review), ascii(review)


PIECES = some.one_of(
    some.text(max_size=4), some.sampled_from(
        '. .. ... DOTMULTI DOT Mr. no. No. 5 , \' " ` - -- a. B x\xe9 & < | '
        '[ \n \t isn\'t U.S. \u2026 \u2019'.split(' ') + [' ', ' ']))


@EXAMPLES
@given(pieces=some.lists(PIECES, max_size=20))
def test_the_old_rule_is_the_plain_tokenizer_on_any_text(moses, pieces):
    review = ''.join(pieces)
    assert text.tokenize(review, text.OLD) == moses(review)


# Letters that change their length with their case, or have several forms.
CASED = some.text(some.characters(blacklist_categories=('Cs',)).filter(
    lambda char: char.upper().lower() == char.lower() and len(
        char.upper()) == 1), max_size=30)


@EXAMPLES
@given(pieces=some.lists(some.one_of(CASED, some.sampled_from(
    '. no. Mr. 5 U.S. e.g. it\'s \u2019 ...'.split() + [' '])), max_size=12))
def test_capitals_do_not_matter(pieces):
    review = ''.join(pieces)
    words = text.tokenize(review)
    assert words == text.tokenize(review.lower())
    assert words == [word.lower() for word in words]
    upper = review.upper()
    if upper.lower() == review.lower():  # not so for a final sigma
        assert words == text.tokenize(upper)


@EXAMPLES
@given(pieces=some.lists(some.one_of(some.text(max_size=6), some.sampled_from(
    ['-', '--', ' ', '.', '\u0301', '\u200d', 'e', '\x85', '<br>',
     '\u2014', '`', '\ufeff', '\u1100', '\u1161', '<', '>', 'i']
)), max_size=16))
@example(pieces=['i', '\u200d', '\u0301'])
@example(pieces=['<', 'i', '--', '>'])
@example(pieces=['<', '\ufeff', 'i', '>'])
@example(pieces=['<', '<i>', 'i', '>'])
def test_normal_texts_stay_as_they_are(pieces):
    review = ''.join(pieces).replace('&', '')
    once = text.normalize(review)
    assert text.normalize(once) == once


def test_plain_text_has_the_words_of_the_old_rule():
    for review in ("It isn't a bad film, is it? 8 of 10!",
                   'The plot (what plot?) made no sense: none.',
                   'She said "no" - and left; he stayed...',
                   'In 1984 it cost $1,000.50 at 5:30 in the U.S. of A'):
        assert text.tokenize(review) == text.tokenize(review, text.OLD)
        assert text.shown(review, text.OLD) == review
    assert text.shown('Caf\xe9\u2026 I don\u2019t<br />know', NEW) == (
        "Caf\xe9... I don't know")


# ---- Size, threads, errors --------------------------------------------------

@pytest.mark.parametrize('rule', [text.OLD, NEW])
@pytest.mark.parametrize('start, end', [(piece, '') for piece in (
    '.', '. ', 'a.', '!', '-', '- ', '<', '<br ', '&', '&amp', "'", 'e\u0301',
    '\u0301', '\u200d', '\U0001f600', ',', 'a.b', 'no. ', '\u5f88', '`', 'a`',
    '. . ', '..x')] + [
    ('<i ', '/>'), ('<<i>', 'i>'), ('<\ufeff', 'i>'),
    ('<&amp;amp;', 'amp;lt;')])
def test_work_grows_with_the_length(rule, start, end):
    """Counted in lines of Python; for the rest, 40,000 would take minutes."""
    def trace(frame, event, argument):
        lines[-1] += 1
        return trace

    lines = []
    text.tokenize(start * 9 + end * 9, rule)
    for n in (200, 400):
        lines.append(0)
        sys.settrace(trace)
        try:
            text.tokenize(start * n + end * n, rule)
        finally:
            sys.settrace(None)
    assert lines[1] < 2.2 * lines[0] + 100
    # The old rule takes quadratic time for full stops.
    n = 2000 if (rule, start) == (text.OLD, '.') else 40000
    assert text.tokenize(start * n + end * n, rule) is not None


def test_a_process_that_is_forked_meanwhile_can_tokenize():
    """The fork comes while the first thread makes its first tokenizer."""
    code = '''
import os, signal, threading
import sacremoses
from lstm_support import text
real = sacremoses.MosesTokenizer.__init__
def forking(self, lang):
    sacremoses.MosesTokenizer.__init__ = real
    if os.fork():
        os.wait()
    else:
        signal.alarm(60)  # ends a process that waits
        thread = threading.Thread(target=lambda: print(
            len(text.tokenize("It isn't bad."))))
        thread.start()
        thread.join()
    real(self, lang)
sacremoses.MosesTokenizer.__init__ = forking
text.tokenize("It isn't bad.")
'''
    assert run_python('-c', code)[:2] == (0, '5\n')


def test_eight_threads_at_first_use_agree_with_one():
    code = '''
import json, sys, threading
from lstm_support import text
reviews, barrier, found = json.loads(sys.argv[1]), threading.Barrier(8), {}
def work(n):
    barrier.wait()
    rule = (text.name(), text.OLD)[n % 2]
    found[n] = [text.tokenize(review, rule) for review in reviews]
threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(json.dumps([found[n] for n in range(8)]))
'''
    reviews = ["It isn't bad."] * 50 + [side for pair in PAIRS
                                        for side in pair]
    _, out, _ = run_python('-c', code, json.dumps(reviews))
    assert json.loads(out) == 4 * [
        [text.tokenize(review, rule) for review in reviews]
        for rule in (NEW, text.OLD)]


@pytest.mark.parametrize('value', [None, 5, float('nan'), b'bytes', ['a']])
def test_what_is_no_text_is_refused(value):
    with pytest.raises(TypeError, match='a text must be a str, not'):
        text.tokenize(value)
