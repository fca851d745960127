"""A model as an ONNX file (https://onnx.ai), for programs without Theano.

It has the layers and the poolings that come with lstm.py. A comparison of
probabilities finds others, which are not written.
"""
import json

import numpy

from lstm_support import storage

_TOLERANCE = 1e-5  # of a probability
_VERSIONS = {'': 17, 'ai.onnx.ml': 3}  # known to onnxruntime 1.12 and later
_ONE = numpy.float32(1)


def export(classifier, path, prepare_data):
    """Write a :class:`classify.Classifier` as an ONNX file, atomically.

    Inputs are ``x`` (T, n), int64, and ``mask`` (T, n), float32: 1 for words,
    then 0 for padding. The output is ``prob`` (n, C), float32. The metadata
    have ``words``, a line per word id; ``classes``, a list as JSON; and
    ``tokenizer``, the rule for text, see :func:`lstm_support.text.name`.

    An ImportError says that onnx is missing. A ValueError says if the name
    does not end in .onnx, or if lstm.py builds another graph.
    """
    try:
        from onnx import helper, reference
    except ImportError:
        raise ImportError('exporting needs onnx: pip install onnx, or start '
                          'with "uv run --extra onnx"')
    path, params = storage.as_path(path), classifier.params
    options = classifier.options
    if not path.endswith('.onnx'):
        raise ValueError('%s: the name of an ONNX file ends in .onnx' % path)
    reviews = _some_reviews(options['n_words'], params.get('ngrams', ()))
    x, mask, _ = prepare_data(reviews, [0] * len(reviews))
    try:
        model = _model(params, options)
        probs, = reference.ReferenceEvaluator(model).run(
            None, {'x': x, 'mask': mask.astype('float32')})
        difference = abs(probs - classifier.model.f_pred_prob(x, mask)).max()
        fault = '' if difference <= _TOLERANCE else (
            'its probabilities would differ by %.1g' % difference)
    except Exception as error:  # such as a parameter of another shape
        fault = repr(error)
    if fault:
        raise ValueError('%s is not written, since this model is not one that '
                         'lstm.py builds as it comes, which is all that %s '
                         'knows: %s' % (path, __file__, fault))
    helper.set_model_props(model, {
        'words': storage.words_array(classifier.dictionary, options['n_words']
                                     ).tobytes().decode('utf-8'),
        'classes': json.dumps(classifier.classes),
        'tokenizer': classifier.tokenizer})
    with storage.atomic_write(path) as f:
        f.write(model.SerializeToString())


def _some_reviews(n_words, ngrams):
    """Return reviews of all kinds of words, and of n-grams of a model."""
    rng = numpy.random.RandomState(0)
    reviews = [rng.randint(1, n_words, n).tolist() for n in range(40)]
    for number in rng.choice(ngrams, 200) if len(ngrams) else ():
        words = []
        while 0 < number < n_words ** 3:  # unused places have larger numbers
            number, word = divmod(int(number), n_words)
            words.insert(0, word)
        reviews[rng.randint(40)] += words
    return reviews


class _Graph:
    """The nodes and the constants of a graph; a value is known by its name."""

    def __init__(self, onnx):
        self.onnx, self.nodes, self.constants = onnx, [], []

    def add(self, operator, *inputs, **attributes):
        """Add a node, whose inputs are names or arrays; name its output."""
        names = list(inputs)
        for n, value in enumerate(inputs):
            if not isinstance(value, str):
                names[n] = 'constant%d' % len(self.constants)
                self.constants.append(self.onnx.numpy_helper.from_array(
                    numpy.array(value), names[n]))
        output = '%s%d' % (operator, len(self.nodes))
        self.nodes.append(self.onnx.helper.make_node(
            operator, names, [output] + ['order'] * (operator == 'TopK'),
            domain='ai.onnx.ml' * (operator == 'LabelEncoder'), **attributes))
        return output


def _model(params, options):
    """Return the onnx.ModelProto of lstm.build_model, without metadata."""
    import onnx
    graph, make = _Graph(onnx), onnx.helper
    left = {name: value if value.dtype.kind == 'i' else value.astype('float32')
            for name, value in params.items()}
    lengths = graph.add('ReduceSum', 'mask', [0], keepdims=0)       # (n,)
    h = _encoded(graph, left, options['encoder'], lengths)          # (T, n, D)
    pooled = _pooled(graph, h, options['pooling'], lengths)         # (n, F)
    scale = numpy.float32(0.5 if options.get('use_dropout', True) else 1)
    scores = graph.add('Gemm', pooled, scale * left.pop('U'), left.pop('b'))
    if options.get('ngrams'):
        scores = graph.add('Add', scores, _ngram_scores(
            graph, left.pop('ngrams'), left.pop('ngram_weights'),
            options['n_words']))
    graph.add('Softmax', graph.add('Div', scores, numpy.float32(
        options.get('temperature', 1))), axis=1)
    graph.nodes[-1].output[0] = 'prob'
    if left:
        raise ValueError('it has other parameters: ' + ', '.join(left))
    x, mask, prob = [
        make.make_tensor_value_info(name, getattr(onnx.TensorProto, kind), [
            *shape]) for name, kind, shape in (
                ('x', 'INT64', 'Tn'), ('mask', 'FLOAT', 'Tn'),
                ('prob', 'FLOAT', ('n', options['ydim'])))]
    return make.make_model(
        make.make_graph(graph.nodes, 'lstm', [x, mask], [prob],
                        graph.constants), ir_version=8,
        opset_imports=[make.make_opsetid(*each)
                       for each in _VERSIONS.items()])


def _encoded(graph, params, encoder, lengths):
    """Apply lstm_layer or bilstm_layer of lstm.py, (T, n, D)."""
    def lstm(prefix, inputs):
        W, U, b = [params.pop('%s_%s' % (prefix, name)) for name in 'WUb']
        # ONNX has the gates in another order, i, o, f, and two biases.
        W, U, b = [numpy.concatenate([numpy.split(value, 4, axis=-1)[k]
                                      for k in (0, 2, 1, 3)], axis=-1).T[None]
                   for value in (W, U, b)]
        return graph.add('Squeeze', graph.add(
            'LSTM', inputs, W, U, numpy.append(b, 0 * b, axis=1),
            hidden_size=U.shape[2]), [1])

    words = graph.add('Gather', params.pop('Wemb'), 'x')
    if encoder + '_W' in params:
        return lstm(encoder, words)
    # A review without words is padding, whatever its order.
    lengths = graph.add('Cast', graph.add('Max', lengths, _ONE), to=7)  # int64
    backward = lstm(encoder + '_backward', graph.add(
        'ReverseSequence', words, lengths))
    return graph.add('Concat', lstm(encoder + '_forward', words), graph.add(
        'ReverseSequence', backward, lengths), axis=2)


def _pooled(graph, h, pooling, lengths):
    """Pool h (T, n, D) over the words: mean, maximum or both, (n, F)."""
    mask, lengths = [graph.add('Unsqueeze', value, [axis]) for value, axis in (
        ('mask', 2), (lengths, 1))]
    sums = graph.add('ReduceSum', graph.add('Mul', h, mask), [0], keepdims=0)
    # Outputs are above -1. Without words, the maximum is 0.
    largest = graph.add('ReduceMax', graph.add(
        'Where', graph.add('Cast', mask, to=9), h, numpy.float32(-2)),
        axes=[0], keepdims=0)
    values = {'mean': graph.add('Div', sums, graph.add('Max', lengths, _ONE)),
              'max': graph.add('Mul', largest,
                               graph.add('Min', lengths, _ONE))}
    return values.get(pooling) or graph.add('Concat', *values.values(), axis=1)


def _ngram_scores(graph, numbers, weights, n_words):
    """Sum the scores of the n-grams of each review, (n, C).

    For the numbers see ``training/ngrams.py``. Unknown n-grams, and those that
    came before in the review, have the place of a row of zeros.
    """
    x, mask = [graph.add('Pad', value, [0, 0, 2, 0]) for value in (
        'x', 'mask')]                                       # (T + 2, n)
    number, real, found = 'x', 'mask', []
    for start, end in ((0, -2), (1, -1), (2, 2 ** 31)):
        word, is_word = [graph.add('Slice', value, [start], [end], [0])
                         for value in (x, mask)]            # (T, n)
        if start:
            number = graph.add('Mul', number, numpy.int64(n_words))
            word = graph.add('Add', number, word)
        number, real = word, graph.add('Mul', real, is_word)
        found.append(graph.add('Where', graph.add('Cast', real, to=9), number,
                               numpy.int64(-1)))
    known, places = numpy.unique(numbers, return_index=True)
    none = numpy.int64(len(numbers))
    found = graph.add(
        'LabelEncoder', graph.add('Concat', *found, axis=1),
        keys_int64s=known, values_int64s=places, default_int64=none)
    found = graph.add('TopK', found, graph.add('Shape', 'x', end=1), axis=0)
    before = graph.add('Slice', graph.add(
        'Pad', found, [1, 0, 0, 0], none), [0], [-1], [0])
    found = graph.add('Where', graph.add('Equal', found, before), none, found)
    scores = graph.add('ReduceSum', graph.add('Gather', numpy.append(
        weights, 0 * weights[:1], axis=0), found), [0], keepdims=0)
    return graph.add('ReduceSum', graph.add(
        'Reshape', scores, [3, -1, weights.shape[1]]), [0], keepdims=0)
