"""A model as an ONNX file (https://onnx.ai), for programs without Theano."""
import json
import pkgutil
import re

import numpy

from lstm_support import storage


def export(classifier, path, prepare_data):
    """Write a :class:`classify.Classifier` as docs/elsewhere.rst describes."""
    with storage.one_error('exporting needs onnx: pip install onnx, or start '
                           'with "uv run --extra onnx"'):
        from onnx import helper, reference
    path, params = storage.as_path(path), classifier.params
    options, V = classifier.options, classifier.options['n_words']
    if not path.endswith('.onnx'):
        raise ValueError('%s: an ONNX file must have a name in .onnx' % path)
    # Reviews of all kinds of words and, in threes, of n-grams.
    rng = numpy.random.RandomState(0)
    reviews = [rng.randint(1, V, n) for n in range(40)] + [
        [n // V ** 2 % V, n // V % V, n % V]
        for n in rng.choice(params.get('ngrams', [0]), 200).tolist()]
    x, mask, _ = prepare_data(reviews, [0] * len(reviews))
    with storage.one_error('%s is not written, since only models of an '
                           'unedited lstm.py can be exported' % path):
        model = _model(dict(params), options)
        probs, = reference.ReferenceEvaluator(model).run(
            None, {'x': x, 'mask': mask.astype('float32')})
        difference = abs(probs - classifier.model.f_pred_prob(x, mask)).max()
        if not difference <= 1e-5:
            raise ValueError('the probabilities would differ by %.1g'
                             % difference)
    words = storage.words_array(classifier.dictionary, V).tobytes().decode()
    helper.set_model_props(model, {
        'words': words, 'tokenizer': classifier.tokenizer,
        'classes': json.dumps(classifier.classes)})
    with storage.atomic_write(path) as f:
        f.write(model.SerializeToString())


def _model(params, options):
    """Return an onnx.ModelProto without metadata."""
    from onnx import helper, numpy_helper, parser, utils
    encoder, ngrams = options['encoder'], options.get('ngrams', 0)
    for name in [name for name in params if re.match(
            re.escape(encoder) + '(_forward|_backward)?_[WUb]$', name)]:
        # ONNX has the gates in the order i, o, f, and two biases.
        i, f, o, candidate = numpy.split(params[name], 4, axis=-1)
        params[name] = numpy.concatenate([i, o, f, candidate] + 4 * [
            0 * i] * name.endswith('b'), axis=-1).T[None]
    text = pkgutil.get_data(__name__, 'model.onnxtxt').decode() % dict(
        {'temperature': 1, 'ngrams': 0}, **dict(
            options, scores='sum' if ngrams else 'of_lstm',
            layer='lstm' if encoder + '_W' in params else 'bilstm'))
    model = utils.Extractor(parser.parse_model(text)).extract_model(
        ['x', 'mask'], ['prob'])
    graph = model.graph
    for node in graph.node:
        if node.op_type == 'LabelEncoder':
            numbers, places = numpy.unique(params.pop('ngrams'), True)
            node.attribute.extend(helper.make_attribute(*each) for each in (
                ('keys_int64s', numbers), ('values_int64s', places),
                ('default_int64', ngrams)))
            weights = params['ngram_weights']
            params['ngram_weights'] = numpy.append(weights, 0 * weights[:1], 0)
    if options.get('use_dropout', True):
        params['U'] = params['U'] * (1 - options.get('dropout', 0.5))
    graph.initializer.extend(
        numpy_helper.from_array(numpy.asarray(value, 'float32'), name)
        for name, value in params.items())
    return model
