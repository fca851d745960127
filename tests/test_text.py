"""lstm_support/text.py: texts that look the same have the same words."""
import subprocess
import sys
import threading

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as some
from sacremoses import MosesTokenizer

from conftest import ROOT
from lstm_support import text

NEW = text.name('en')


def examples(n):
    return settings(max_examples=n, deadline=None)


# --------------------------------------------------------------------------
# The same for a reader, the same for a model
# --------------------------------------------------------------------------

PAIRS = [
    (u'\u275dSuperb\u275e, \u300cshe\u300d said', u'"Superb", "she" said'),
    (u'\uff27\uff52\uff45\uff41\uff54\uff01 \uff1f', u'Great! ?'),
    (u'Well\u2024\u2024\u2024 what\u203c why\u2049', u'Well... what!! why!?'),
    (u'It&amp;#39;s &amp;quot;fine&amp;quot;', u'It\'s "fine"'),
    (u'<div class="x">Good.</div><span style="y">Really</span> good.',
     u'Good. Really good.'),
    # Capitals, and full stops at the ends of sentences.
    (u'It was awful. Never again.', u'it was awful. never again.'),
    (u'A FILM TO SEE. GO.', u'A film to see. Go.'),
    (u'See Mr. Brown act. Superb.', u'see mr. brown act. superb.'),
    (u'No. It was bad. NO. 5 was.', u'no. it was bad. no. 5 was.'),
    (u'Seen in the U.S.A. Great.', u'seen in the u.s.a. great.'),
    (u'Good.Bad.', u'good.bad.'),
    (u'It ended badly. (Spoiler.)', u'it ended badly. (spoiler.)'),
    (u'Dr. Who etc. Fine.', u'DR. WHO ETC. FINE.'),
    (u'\xc9cole. \xc9T\xc9.', u'\xe9cole. \xe9t\xe9.'),
    (u'\u0130stanbul', u'i\u0307stanbul'),
    # Quotes and apostrophes.
    (u"I don't like it, it wasn't good.",
     u'I don\u2019t like it, it wasn\u2019t good.'),
    (u"I don't", u'I don\u2018t'), (u"I don't", u'I don\xb4t'),
    (u"I don't", u'I don`t'), (u"I don't", u'I don\u02bct'),
    (u"I don't", u'I don\u2032t'), (u"I don't", u'I don\uff07t'),
    (u"I don't", u'I don\x92t'), (u"I don't", u'I don&#39;t'),
    (u"I don't", u'I don&apos;t'), (u"I don't", u'I don&#x27;t'),
    (u"I don't", u'I don&#8217;t'), (u"I don't", u'I don&rsquo;t'),
    (u"I don't", u'I don\u200b\u2019t'), (u"I don't", u'I don\u201bt'),
    (u'"Superb", she said', u'\u201cSuperb\u201d, she said'),
    (u'"Superb", she said', u'\u201eSuperb\u201c, she said'),
    (u'"Superb", she said', u'\xabSuperb\xbb, she said'),
    (u'"Superb", she said', u'\xab\xa0Superb\xa0\xbb, she said'),
    (u'"Superb", she said', u'\x93Superb\x94, she said'),
    (u'"Superb", she said', u'&quot;Superb&quot;, she said'),
    (u'"Superb", she said', u'&ldquo;Superb&rdquo;, she said'),
    (u'"Superb", she said', u'\uff02Superb\uff02, she said'),
    (u'"Superb", she said', u"''Superb'', she said"),
    (u'"Superb", she said', u"``Superb'', she said"),
    (u"'Superb', she said", u'\u2018Superb\u2019, she said'),
    (u"'Superb', she said", u'\u201aSuperb\u2018, she said'),
    (u"'Superb', she said", u'\u2039Superb\u203a, she said'),
    (u"'Superb', she said", u'\x91Superb\x92, she said'),
    # Dashes and dots.
    (u'"Superb", she said - twice...',
     u'\u201cSuperb\u201d, she said \u2013 twice\u2026'),
    (u'so - so', u'so \u2014 so'), (u'so - so', u'so -- so'),
    (u'so - so', u'so --- so'), (u'so - so', u'so\u2014so'),
    (u'so - so', u'so--so'), (u'so - so', u'so \x96 so'),
    (u'so - so', u'so \x97 so'), (u'so - so', u'so\x97so'),
    (u'said - twice', u'said \u2212 twice'),
    (u'said - twice', u'said \u2015 twice'),
    (u'said - twice', u'said &mdash; twice'),
    (u'said - twice', u'said &ndash;&nbsp;twice'),
    (u'well-made', u'well\u2010made'), (u'well-made', u'well\u2011made'),
    (u'well-made', u'well\ufe63made'), (u'wellmade', u'well\xadmade'),
    (u'wait...', u'wait\u2026'), (u'wait...', u'wait\x85'),
    (u'wait...', u'wait....'), (u'wait...', u'wait' + u'.' * 99),
    (u'wait... what', u'wait\u2026 what'), (u'wait...', u'wait&hellip;'),
    (u'Bad!!!', u'bad' + u'!' * 50), (u'what???', u'what' + u'?' * 9),
    (u'***', u'*' * 40), (u'___', u'_' * 40), (u'so ~~~', u'so ~~~~~~'),
    # Accents, composed or not.
    (u'A caf\xe9 scene, superb.', u'A cafe\u0301 scene, superb.'),
    (u'hay nh\u1ea5t Vi\u1ec7t', u'hay nha\u0302\u0301t Vie\u0323\u0302t'),
    (u'phim Vi\u1ec7t', u'phim Vie\u0302\u0323t'),
    (u'\ud55c\uad6d', u'\u1112\u1161\u11ab\u1100\u116e\u11a8'),
    (u'cafe\u0301', u'cafe\u200b\u0301'),
    (u'\u212bngstr\xf6m', u'A\u030angstro\u0308m'),
    (u'\ufb01nal', u'final'), (u'o\ufb03cial', u'official'),
    (u'10/10', u'10\u204410'),
    (u'\u30ac', u'\u30ab\u3099'), (u'na\xefve', u'nai\u0308ve'),
    # Blanks and line breaks.
    (u'Great film', u'Great\xa0film'), (u'Great film', u'Great\u202ffilm'),
    (u'Great film', u'Great&nbsp;film'), (u'Great film', u'Great&#160;film'),
    (u'Great film', u'Great\u3000film'), (u'Great film', u'Great\u2009film'),
    (u'Great film', u' \t Great \r\n film \n'),
    (u'Great film', u'Great\x0bfilm'),
    (u'Great film', u'Great\u2028film'), (u'Great film', u'Great\x1ffilm'),
    (u'Great film', u'Great\u2003 film'),
    # What cannot be seen.
    (u'great film', u'\ufeffgreat film'), (u'great film', u'great\ufeff film'),
    (u'great film', u'gr\ufeffeat film'), (u'great film', u'great\u200b film'),
    (u'great film', u'\u202agreat\u202c film'), (u'great', u'gre\u2060at'),
    (u'great', u'gre\x00at'), (u'great', u'great\x07'),
    (u'great', u'\u200egreat'), (u'great', u'gr\u200deat'),
    (u'great', u'gre\u200cat'), (u'great', u'great\ufe0f'),
    (u'great', u'great\x7f'), (u'great', u'great\U000e0041'),
    # Markup and entities.
    (u'Good. Really good.', u'Good.<br /><br />Really good.'),
    (u'Good. Really good.', u'Good.<br>Really good.'),
    (u'Good. Really good.', u'Good.<BR/>Really good.'),
    (u'Good. Really good.', u'Good.<br  />Really good.'),
    (u'Good. Really good.', u'Good.</br>Really good.'),
    (u'Good. Really good.', u'Good.<br\n/>Really good.'),
    (u'Good. Really good.', u'Good.<p class="x">Really good.</p>'),
    (u'Good. Really good.', u'Good.<br clear="all" />Really good.'),
    (u'Good. Really good.', u'<p>Good.</p><p>Really good.</p>'),
    (u'Good. Really good.', u'Good. <i>Really</i> good.'),
    (u'Good. Really good.', u'Good. <EM>Really</EM> good.'),
    (u'Good. Really good.', u'Good.&lt;br /&gt;Really good.'),
    (u'Good & bad', u'Good &amp; bad'), (u'1 < 2 > 0', u'1 &lt; 2 &gt; 0'),
    (u'Good & bad', u'Good &#38; bad'), (u'caf\xe9', u'caf&eacute;'),
    # Emoji.
    (u'good \u2764 film', u'good \u2764\ufe0f film'),
    (u'good \U0001f600', u'good\U0001f600'),
    (u'good \u263a', u'good \u263a\ufe0e'),
    (u'good \U0001f44d\U0001f3fd!', u'good \U0001f44d\U0001f3fd !'),
]


@pytest.mark.parametrize('one, other', PAIRS, ids=map(ascii, PAIRS))
def test_what_looks_the_same_has_the_same_words(one, other):
    assert text.tokenize(one) == text.tokenize(other) != []


@pytest.mark.parametrize('one, other', [
    (u'resume', u'r\xe9sum\xe9'), (u'it is', u'its'), (u'good', u'goood'),
    (u'wait.', u'wait...'), (u'bad!', u'bad!!!'), (u'10-12', u'10 12'),
    (u'\U0001f44d', u'\U0001f44e'), (u'1.5', u'15'), (u'a < b', u'a b'),
    (u'\U0001f44d\U0001f3fd', u'\U0001f44d\U0001f3ff'), (u'co2', u'co\xb2'),
])
def test_what_looks_different_has_other_words(one, other):
    assert text.tokenize(one) != text.tokenize(other)


def test_words_and_signs():
    assert text.tokenize(u'Mr. Brown\'s "Film" isn\'t bad: 8.5/10 & LONG...'
                         ) == [
        'mr.', 'brown', '&apos;s', '&quot;', 'film', '&quot;', 'isn',
        '&apos;t', 'bad', ':', '8.5', '/', '10', '&amp;', 'long', '...']
    assert text.tokenize(u'Never again. No. 5 was worse, e.g. this') == [
        'never', 'again', '.', 'no.', '5', 'was', 'worse', ',', 'e.g.',
        'this']
    for empty in (u'', u' \n', u'\ufeff', u'\u200b\xad', u'<br /><br>'):
        assert text.tokenize(empty) == []


# --------------------------------------------------------------------------
# Languages and scripts
# --------------------------------------------------------------------------

@pytest.mark.parametrize('lang, review, words', [
    ('fr', u'L\u2019histoire n\u2019est pas tr\xe8s dr\xf4le, M. Dupont\xa0!',
     u"l&apos; histoire n&apos; est pas tr\xe8s dr\xf4le , m. dupont !"),
    ('de', u'Ein sch\xf6ner Film, z.B. f\xfcr Dr. M\xfcller.',
     u'ein sch\xf6ner film , z.b. f\xfcr dr. m\xfcller .'),
    ('it', u"Com'\xe8 bello", u'com&apos; \xe8 bello'),
    ('ta', u'\u0b85\u0bb0\u0bc1\u0bae\u0bc8\u0baf\u0bbe\u0ba9 '
           u'\u0baa\u0b9f\u0bae\u0bcd.',
     u'\u0b85\u0bb0\u0bc1\u0bae\u0bc8\u0baf\u0bbe\u0ba9 '
     u'\u0baa\u0b9f\u0bae\u0bcd .'),
    # Letter by letter, each with its vowels and tones.
    ('th', u'\u0e14\u0e35\u0e21\u0e32\u0e01',
     u'\u0e14\u0e35 \u0e21 \u0e32 \u0e01'),
    ('zh', u'\u5f88\u597d\u770b\u3002',
     u'\u5f88 \u597d \u770b \u3002'),
    ('ja', u'\u9762\u767d\u3044\u6620\u753b\u3067\u3059\u3002',
     u'\u9762 \u767d \u3044 \u6620 \u753b \u3067 \u3059 \u3002'),
    ('ko', u'\uc815\ub9d0 \uc7ac\ubbf8\uc788\ub294 \uc601\ud654.',
     u'\uc815\ub9d0 \uc7ac\ubbf8\uc788\ub294 \uc601\ud654 .'),
    # Without an own list of abbreviations: Persian, with a joiner; Arabic;
    # Hebrew; Hindi with conjuncts; Russian.
    ('en', u'\u0646\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645.',
     u'\u0646\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 .'),
    ('en', u'\u0641\u064a\u0644\u0645 \u0631\u0627\u0626\u0639\u060c',
     u'\u0641\u064a\u0644\u0645 \u0631\u0627\u0626\u0639 \u060c'),
    ('en', u'\u05e1\u05e8\u05d8 \u05d8\u05d5\u05d1!',
     u'\u05e1\u05e8\u05d8 \u05d8\u05d5\u05d1 !'),
    ('hi', u'\u0905\u091a\u094d\u091b\u0940 \u092b\u093f\u0932\u094d\u092e'
           u'\u0964',
     u'\u0905\u091a\u094d\u091b\u0940 \u092b\u093f\u0932\u094d\u092e '
     u'\u0964'),
    ('ru', u'\u041e\u0447\u0435\u043d\u044c \u043c\u0438\u043b\u043e.',
     u'\u043e\u0447\u0435\u043d\u044c \u043c\u0438\u043b\u043e .'),
])
def test_languages(lang, review, words):
    assert text.tokenize(review, text.name(lang)) == words.split()


def test_every_language_of_the_tokenizer_works():
    for lang in text.LANGUAGES:
        rule = text.name(lang)
        assert text.is_known(rule) and lang in rule
        assert text.tokenize(u'A 1 B.', rule)[:2] == ['a', '1']
    assert text.is_known(text.OLD) and not text.is_known('Moses (en)')


@pytest.mark.parametrize('emoji', [
    u'\U0001f600', u'\U0001f44d\U0001f3fd', u'\u2764', u'\U0001f1eb\U0001f1f7',
    u'\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466',
    u'\U0001f469\U0001f3fd\u200d\U0001f4bb', u'1\u20e3', u'#\u20e3',
    u'\U0001f3f3\u200d\U0001f308', u'\u2764\u200d\U0001f525', u'\u2b50',
])
def test_an_emoji_is_one_word(emoji):
    for review, words in ((u'so %s!', [u'so', emoji, u'!']),
                          (u'so%sgood', [u'so', emoji, u'good']),
                          (u'%s', [emoji]), (u'%s' * 2, [emoji] * 2)):
        review = review.replace(u'%s', emoji)
        assert text.tokenize(review) == words
    with_selectors = emoji.replace(u'\u200d', u'\ufe0f\u200d') + u'\ufe0f'
    assert text.tokenize(with_selectors) == [emoji]


# --------------------------------------------------------------------------
# The old rule, and properties of the new one
# --------------------------------------------------------------------------

NASTY = [
    u'', u'.', u'..', u'... .... .', u'a.b.c. d', u'A. b', u'No. 5 no. five.',
    u'Mr. X vs. Mrs. Y. Nos. 1-2. nos. x', u'e.g. this, i.e. that.',
    u'DOTMULTI DOTDOTMULTI ... DOT', u'a DOTMULTI b....', u'x...\n...y',
    u"isn't 'quoted' ''x'' `y` ``z'' 90's", u'1,000.50 1,a a,1 ,, 1,',
    u'<br /><br />&amp; &lt; | [x] {y}', u'caf\xe9 cafe\u0301 \ufeffx \xadz',
    u'\u5f88\u597d\u3002 \u0e14\u0e35', u'\U0001f600\u200d\U0001f44d!!!!!',
    u'a\x00b\x1fc\x85d\u2028e\u3000f', u'http://x.y/z?a=1&b=2 @x #y a_b',
    u'end. \u201cQuote.\u201d end.) End', u'\u0130. i\u0307 \xdf. \u01c5.',
    u'a--b -- c --- @-@ -', u'x. ' * 50, u'Ph.D. U.S. u.s. a.m. 5 p.m. .',
]


@pytest.fixture(scope='module')
def moses():
    tokenizer = MosesTokenizer('en')

    def tokenize(review):
        return [word.lower() for word in tokenizer.tokenize(review)]
    return tokenize


def test_the_old_rule_is_the_plain_tokenizer(moses):
    for review in NASTY + [side for pair in PAIRS for side in pair]:
        assert text.tokenize(review, text.OLD) == moses(review), ascii(review)


PIECES = some.one_of(
    some.text(max_size=4), some.sampled_from(
        u'. .. ... DOTMULTI DOT Mr. no. No. 5 , \' " ` - -- a. B x\xe9 & < | '
        u'[ \n \t isn\'t U.S. \u2026 \u2019'.split(u' ') + [u' ', u' ']))


@examples(200)
@given(pieces=some.lists(PIECES, max_size=20))
def test_the_old_rule_is_the_plain_tokenizer_on_any_text(moses, pieces):
    review = u''.join(pieces)
    assert text.tokenize(review, text.OLD) == moses(review)


# Letters that change their length with their case, or have several forms.
CASED = some.text(some.characters(blacklist_categories=('Cs',)).filter(
    lambda char: char.upper().lower() == char.lower() and len(
        char.upper()) == 1), max_size=30)


@examples(200)
@given(pieces=some.lists(some.one_of(CASED, some.sampled_from(
    u'. no. Mr. 5 U.S. e.g. it\'s \u2019 ...'.split() + [u' '])), max_size=12))
def test_capitals_do_not_matter(pieces):
    review = u''.join(pieces)
    words = text.tokenize(review)
    assert words == text.tokenize(review.lower())
    assert words == [word.lower() for word in words]
    upper = review.upper()
    if upper.lower() == review.lower():  # not so for a final sigma
        assert words == text.tokenize(upper)


@examples(200)
@given(pieces=some.lists(some.one_of(some.text(max_size=6), some.sampled_from(
    [u'-', u'--', u' ', u'.', u'\u0301', u'\u200d', u'e', u'\x85', u'<br>',
     u'\u2014', u'`', u'\ufeff', u'\u1100', u'\u1161', u'<', u'>', u'i']
)), max_size=16))
@example(pieces=[u'i', u'\u200d', u'\u0301'])
@example(pieces=[u'<', u'i', u'--', u'>'])
@example(pieces=[u'<', u'\ufeff', u'i', u'>'])
@example(pieces=[u'<', u'<i>', u'i', u'>'])
def test_normal_texts_stay_as_they_are(pieces):
    review = u''.join(pieces).replace(u'&', u'')
    once = text.normalize(review)
    assert text.normalize(once) == once


def test_plain_text_has_the_words_of_the_old_rule():
    for review in (u"It isn't a bad film, is it? 8 of 10!",
                   u'The plot (what plot?) made no sense: none.',
                   u'She said "no" - and left; he stayed...',
                   u'In 1984 it cost $1,000.50 at 5:30 in the U.S. of A'):
        assert text.tokenize(review) == text.tokenize(review, text.OLD)


def test_shown_is_the_text_in_which_the_words_are():
    review = u'Caf\xe9\u2026 I don\u2019t<br />know'
    assert text.shown(review, text.OLD) == review
    assert text.shown(review, NEW) == u"Caf\xe9... I don't know"


# --------------------------------------------------------------------------
# Size, threads, errors
# --------------------------------------------------------------------------

def pieces(start, end=u''):
    return lambda n: start * n + end * n


@pytest.mark.parametrize('rule', [text.OLD, NEW])
@pytest.mark.parametrize('made_of', [pieces(*each) for each in [
    (piece,) for piece in (
        u'.', u'. ', u'a.', u'!', u'-', u'- ', u'<', u'<br ', u'&', u'&amp',
        u"'", u'e\u0301', u'\u0301', u'\u200d', u'\U0001f600', u',', u'a.b',
        u'no. ', u'\u5f88', u'`', u'a`', u'. . ', u'..x')] + [
    (u'<i ', u'/>'), (u'<<i>', u'i>'), (u'<\ufeff', u'i>'),
    (u'<&amp;amp;', u'amp;lt;')]])
def test_work_grows_with_the_length(rule, made_of):
    """Counted in lines of Python; for the rest, 40,000 would take minutes."""
    lines = []
    for n in (200, 400):
        count = [0]

        def trace(frame, event, argument):
            count[0] += 1
            return trace
        review = made_of(n)
        text.tokenize(review, rule)
        sys.settrace(trace)
        try:
            text.tokenize(review, rule)
        finally:
            sys.settrace(None)
        lines.append(count[0])
    assert lines[1] < 2.2 * lines[0] + 100
    assert text.tokenize(made_of(40000), rule) is not None


def test_passes_over_nested_tags_are_limited(monkeypatch):
    """Each takes time in proportion to the length."""
    done = []

    def once(review, real=text._normalize_once):
        done.append(len(review))
        return real(review)
    monkeypatch.setattr(text, '_normalize_once', once)
    assert text.normalize(u'x' + u'<i ' * 9 + u'/>' * 9) == 'x'
    assert len(done) <= 12
    for n in 100, 1000:
        del done[:]
        text.normalize(u'<i ' * n + u'/>' * n)
        assert len(done) <= 21 and max(done) == 5 * n


def test_a_process_that_is_forked_meanwhile_can_tokenize():
    """The fork comes while another thread makes its first tokenizer."""
    code = '''
import os, signal, threading
import sacremoses
from lstm_support import text
real, inside, go_on = sacremoses.MosesTokenizer.__init__, *[
    threading.Event() for _ in range(2)]
parent = os.getpid()
def slow(self, lang):
    if os.getpid() == parent:
        inside.set()
        go_on.wait()
    real(self, lang)
sacremoses.MosesTokenizer.__init__ = slow
thread = threading.Thread(target=text.tokenize, args=("It isn't bad.",))
thread.start()
inside.wait()
child = os.fork()
if not child:
    signal.alarm(60)  # ends a process that waits
    os._exit(len(text.tokenize("It isn't bad.")))
print(os.waitpid(child, 0)[1] >> 8)
go_on.set()
'''
    assert subprocess.check_output([sys.executable, '-c', code], cwd=ROOT,
                                   universal_newlines=True) == '5\n'


def test_forty_thousand_full_stops(moses):
    assert text.tokenize(u'great film' + u'.' * 40000) == [
        'great', 'film', '...']
    assert text.tokenize(u'great film' + u'.' * 40000, text.OLD) == [
        'great', 'film', '.' * 40000]
    assert text.tokenize(u'great' + u'.' * 300 + u' film', text.OLD) == moses(
        u'great' + u'.' * 300 + u' film')


def test_eight_threads_at_first_use():
    code = '''
import threading
from lstm_support import text
barrier, found = threading.Barrier(8), []
def work(n):
    barrier.wait()
    rule = (text.name(), text.OLD)[n % 2]
    found.extend(tuple(text.tokenize(u"It isn't bad.", rule))
                 for _ in range(50))
threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(len(found), sorted(set(found)))
'''
    out = subprocess.check_output([sys.executable, '-c', code], cwd=ROOT,
                                  universal_newlines=True)
    assert out == "400 [('it', 'isn', '&apos;t', 'bad', '.')]\n"


def test_threads_agree_with_one():
    reviews = [side for pair in PAIRS for side in pair]
    expected = list(map(text.tokenize, reviews))
    found = {}

    def work(n):
        found[n] = list(map(text.tokenize, reviews))
    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[n] for n in range(8)] == [expected] * 8


@pytest.mark.parametrize('value', [None, 5, float('nan'), b'bytes', ['a']])
def test_what_is_no_text_is_refused(value):
    with pytest.raises(TypeError, match='a text must be a str, not'):
        text.tokenize(value)


def test_unknown_languages_and_rules_are_refused():
    with pytest.raises(ValueError, match="no language 'xx'; the languages are "
                                         'as, bn'):
        text.name('xx')
    for rule in ('Moses (xx), text rule 2', 'Moses (en), text rule 3', ''):
        with pytest.raises(ValueError, match='there is no tokenizer'):
            text.tokenize(u'a', rule)
