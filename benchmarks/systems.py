"""One system to measure, as a process that takes commands.

    python systems.py NAME MINIBATCHES.npz

The file holds x, mask and y of every minibatch, and the sizes of the model.
Commands come on standard input, one per line. ``train A B`` or ``predict A B``
runs minibatches A to B - 1 and prints the seconds. ``gradients A B`` leaves
out the updates, and ``update A B`` repeats the last one. ``layer A B``, of
'ours, profiled', prints the seconds of the LSTM layer in the gradients, which
Theano measures. ``memory`` prints the peak in MB, and ``cpu`` the CPU seconds
so far. THREADS in the environment is the number of threads. mpiexec may start
'ours': then only the first process reads and prints. ``exchange A B`` trains,
and prints the seconds of messages alone.
"""
import contextlib
import os
import sys
import time

# BLAS reads these when NumPy is imported. That of lstm.py has one thread.
THREADS = int(os.environ.get('THREADS', 1))
for _name in ['OMP_NUM_THREADS'] + ['OPENBLAS_NUM_THREADS'] * (
        not sys.argv[1].startswith('ours')):
    os.environ[_name] = str(THREADS)
import numpy  # noqa: E402

GROUP = None  # the processes of this job; None for systems that have only one


def plain_model(lstm, tparams):
    """Build the tutorial's graph: masked scan, its own mean and cost.

    Returns the inputs, the switch of the dropout, probabilities and cost.
    """
    import theano
    from theano import tensor
    from theano.sandbox.rng_mrg import MRG_RandomStreams
    use_noise = theano.shared(lstm.numpy_floatX(1.))
    x, y = tensor.lmatrix('x'), tensor.lvector('y')
    mask = tensor.matrix('mask')
    h = lstm.lstm_layer(
        tparams, tparams['Wemb'][x],
        {'dim_proj': tparams['U'].get_value(borrow=True).shape[0]}, mask=mask)
    mean = (h * mask[:, :, None]).sum(axis=0) / mask.sum(axis=0)[:, None]
    mean = lstm.dropout_layer(mean, use_noise, MRG_RandomStreams(lstm.SEED))
    prob = tensor.nnet.softmax(tensor.dot(mean, tparams['U'])
                               + tparams['b'])
    cost = -tensor.log(prob[tensor.arange(y.shape[0]), y] + 1e-8).mean()
    return x, mask, y, use_noise, prob, cost


def theano_system(sizes, kind):
    """lstm.py ('ours'), with forced scan ('scan'), or the tutorial's graph."""
    import lstm
    import theano
    from theano import tensor
    theano.config.fused_lstm = kind.startswith('ours')
    theano.config.profile = kind == 'ours, profiled'
    theano.config.profiling.destination = os.devnull
    tparams = lstm.init_tparams(lstm.init_params(sizes))
    if kind == 'plain':
        x, mask, y, use_noise, prob, cost = plain_model(lstm, tparams)
        f_pred_prob = f_pred = theano.function([x, mask], prob)
    else:
        use_noise, x, mask, y, f_pred_prob, f_pred, cost = lstm.build_model(
            tparams, sizes)
        use_noise.set_value(lstm.numpy_floatX(1.))
    grads = tensor.grad(cost, list(tparams.values()))
    if kind == 'plain':  # as products, gradients are dense to the optimizers
        grads = [1. * grad for grad in grads]
    adadelta, f_pred = GROUP.divided(
        lstm.adadelta, f_pred_prob if GROUP.size == 1 else f_pred)
    f_grad_shared, f_update = adadelta(
        tensor.scalar(), tparams, grads, x, mask, y, cost)

    def train(batch):
        f_grad_shared(*batch)
        f_update(0.)

    def predict(batch):
        f_pred(*batch[:2])
    train.gradients = lambda batch: f_grad_shared(*batch)
    train.update = lambda batch: f_update(0.)
    train.layer_clock = lambda: layer_seconds(f_grad_shared.profile)
    return train, predict


def products_system(sizes):
    """Only the matrix products of an update, by NumPy's BLAS: a lower bound.

    Padding is left out. Each distinct word of a minibatch is multiplied once.
    """
    dim = sizes['dim_proj']
    W = numpy.random.rand(dim, 4 * dim).astype('float32')
    plans = {}

    def plan(batch):
        x, mask, _ = batch
        if id(mask) not in plans:
            counts = mask.sum(1).astype(int).tolist()
            n_words, n_rows = sum(counts), len(numpy.unique(x[mask > 0]))
            plans[id(mask)] = counts, [
                numpy.random.rand(n, width).astype('float32')
                for n in (n_words, n_rows) for width in (dim, 4 * dim)]
        return plans[id(mask)]

    def predict(batch):
        counts, (h, gates, rows, row_gates) = plan(batch)
        numpy.dot(rows, W, out=row_gates)
        for n in counts:
            numpy.dot(h[:n], W, out=gates[:n])

    def train(batch):
        predict(batch)
        counts, (h, gates, rows, row_gates) = plan(batch)
        for n in counts:
            numpy.dot(gates[:n], W.T, out=h[:n])
        numpy.dot(h.T, gates)
        numpy.dot(row_gates, W.T, out=rows)
        numpy.dot(rows.T, row_gates)
    return train, predict


def torch_system(sizes, packed):
    """PyTorch's nn.LSTM on padded or on packed sequences."""
    import torch
    from torch import nn
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    dim = sizes['dim_proj']

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.emb = nn.Embedding(sizes['n_words'], dim)
            self.lstm = nn.LSTM(dim, dim)
            self.drop = nn.Dropout(0.5)
            self.out = nn.Linear(dim, 2)

        def forward(self, x, mask):
            h = self.emb(x)
            if packed:
                h = nn.utils.rnn.pack_padded_sequence(
                    h, mask.sum(0).long(), enforce_sorted=False)
            h, _ = self.lstm(h)
            if packed:
                h, _ = nn.utils.rnn.pad_packed_sequence(
                    h, total_length=len(x))
            mean = (h * mask[:, :, None]).sum(0) / mask.sum(0)[:, None]
            return self.out(self.drop(mean))

    model = Model()
    optimizer = torch.optim.Adadelta(model.parameters(), lr=1., rho=0.95,
                                     eps=1e-6)
    loss = nn.CrossEntropyLoss()

    def tensors(batch):
        return [torch.from_numpy(each) for each in batch]

    def train(batch):
        x, mask, y = tensors(batch)
        model.train()
        optimizer.zero_grad()
        cost = loss(model(x, mask), y)
        cost.backward()
        optimizer.step()
        return cost.item()

    def predict(batch):
        model.eval()
        with torch.inference_mode():
            model(*tensors(batch)[:2]).softmax(1).numpy()
    return train, predict


def flax_system(sizes):
    """Flax on JAX; T is padded to multiples of 32: every new T is compiled."""
    os.environ['XLA_FLAGS'] = (
        '--xla_cpu_multi_thread_eigen=%s intra_op_parallelism_threads=%d'
        % (str(THREADS > 1).lower(), THREADS))
    os.environ['JAX_PLATFORMS'] = 'cpu'
    import jax
    import optax
    from flax import linen as nn
    jnp = jax.numpy
    dim = sizes['dim_proj']

    class Model(nn.Module):
        @nn.compact
        def __call__(self, x, mask, train):
            h = nn.Embed(sizes['n_words'], dim)(x)
            h = nn.RNN(nn.OptimizedLSTMCell(dim), time_major=True)(h)
            mean = (h * mask[:, :, None]).sum(0) / jnp.maximum(
                mask.sum(0), 1)[:, None]
            return nn.Dense(2)(nn.Dropout(0.5, deterministic=not train)(mean))

    model = Model()
    optimizer = optax.adadelta(1., rho=0.95, eps=1e-6)

    def padded(batch):
        x, mask, y = batch
        more = (-len(x) % 32, x.shape[1])
        return (numpy.concatenate([x, numpy.zeros(more, x.dtype)])
                .astype('int32'),
                numpy.concatenate([mask, numpy.zeros(more, mask.dtype)]),
                y.astype('int32'))

    @jax.jit
    def step(params, state, key, x, mask, y):
        def cost(params):
            logits = model.apply(params, x, mask, True, rngs={'dropout': key})
            return optax.softmax_cross_entropy_with_integer_labels(
                logits, y).mean()
        value, grads = jax.value_and_grad(cost)(params)
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state, value

    probs = jax.jit(lambda params, x, mask: nn.softmax(
        model.apply(params, x, mask, False)))
    key = jax.random.key(0)
    params = model.init(key, jnp.zeros((32, 1), 'int32'), jnp.ones((32, 1)),
                        False)
    current = {'params': params, 'state': optimizer.init(params), 'key': key}

    def train(batch):
        current['key'], use = jax.random.split(current['key'])
        current['params'], current['state'], cost = step(
            current['params'], current['state'], use, *padded(batch))
        return float(cost)

    def predict(batch):
        numpy.asarray(probs(current['params'], *padded(batch)[:2]))
    return train, predict


def onnx_system(sizes):
    """The model in onnxruntime, by its LSTM operator; it only predicts."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper
    dim, rng = sizes['dim_proj'], numpy.random.RandomState(0)

    def weights(name, *shape):
        return numpy_helper.from_array(
            rng.uniform(-.1, .1, shape).astype('float32'), name)

    def constant(name, *values):
        return numpy_helper.from_array(numpy.array(values), name)

    nodes = [
        helper.make_node('Gather', ['Wemb', 'x'], ['emb']),
        helper.make_node('ReduceSum', ['mask', 'first'], ['n'], keepdims=0),
        helper.make_node('Cast', ['n'], ['lengths'], to=TensorProto.INT32),
        helper.make_node('LSTM', ['emb', 'W', 'R', 'B', 'lengths'], ['h'],
                         hidden_size=dim),              # (T, 1, n, D)
        helper.make_node('Squeeze', ['h', 'second'], ['states']),
        helper.make_node('Unsqueeze', ['mask', 'third'], ['words']),
        helper.make_node('Mul', ['states', 'words'], ['masked']),
        helper.make_node('ReduceSum', ['masked', 'first'], ['sum'],
                         keepdims=0),
        helper.make_node('Unsqueeze', ['n', 'second'], ['number']),
        helper.make_node('Div', ['sum', 'number'], ['mean']),
        helper.make_node('Gemm', ['mean', 'U', 'b'], ['scores']),
        helper.make_node('Softmax', ['scores'], ['prob'], axis=1)]
    graph = helper.make_graph(
        nodes, 'model',
        [helper.make_tensor_value_info('x', TensorProto.INT64, ['T', 'n']),
         helper.make_tensor_value_info('mask', TensorProto.FLOAT,
                                       ['T', 'n'])],
        [helper.make_tensor_value_info('prob', TensorProto.FLOAT, ['n', 2])],
        [weights('Wemb', sizes['n_words'], dim), weights('W', 1, 4 * dim, dim),
         weights('R', 1, 4 * dim, dim), weights('B', 1, 8 * dim),
         weights('U', dim, 2), weights('b', 2), constant('first', 0),
         constant('second', 1), constant('third', 2)])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(helper.make_model(
        graph, ir_version=10, opset_imports=[helper.make_opsetid('', 21)]
    ).SerializeToString(), options, ['CPUExecutionProvider'])

    def predict(batch):
        session.run(None, {'x': batch[0], 'mask': batch[1]})
    return None, predict


# Systems in Theano, and the graph of each.
GRAPHS = {'ours': 'ours', 'ours, fewer words': 'ours', 'scan': 'scan',
          'plain': 'plain', 'ours, profiled': 'ours, profiled'}
SYSTEMS = {'torch padded': lambda sizes: torch_system(sizes, False),
           'torch packed': lambda sizes: torch_system(sizes, True),
           'flax': flax_system, 'products': products_system,
           'onnxruntime': onnx_system}


def layer_seconds(profile):
    """Return the seconds of a function so far in the Ops of the layer."""
    return sum(seconds for node, seconds in profile.apply_time.items()
               if type(node.op).__module__.startswith('lstm_support'))


def peak_mb():
    """Return the peak memory of this process; rusage counts its parent's, too.
    """
    with open('/proc/self/status') as f:
        return [int(line.split()[1]) / 1e3 for line in f
                if line.startswith('VmHWM')][0]


def main():
    name, path = sys.argv[1:]
    with numpy.load(path) as saved:
        arrays = {key: saved[key] for key in saved.files}
    sizes = {key: int(arrays[key]) for key in ('dim_proj', 'n_words')}
    batches = [[arrays['%s%d' % (kind, n)] for kind in ('x', 'mask', 'y')]
               for n in range(int(arrays['n_batches']))]
    if name == 'ours, fewer words':  # as many words as by default
        sizes['n_words'] = 10000
        for x, _, _ in batches:
            x[x >= 10000] = 1
    with processes(name):
        sizes['ydim'] = 2
        train, predict = (theano_system(sizes, GRAPHS[name])
                          if name in GRAPHS else SYSTEMS[name](sizes))
        runs = {'train': train, 'exchange': train, 'predict': predict,
                'gradients': getattr(train, 'gradients', None),
                'layer': getattr(train, 'gradients', None),
                'update': getattr(train, 'update', None)}
        print('ready', flush=True)
        for command in commands():
            if command[0] in ('memory', 'cpu'):
                print(peak_mb() if command[0] == 'memory'
                      else time.process_time(), flush=True)
                continue
            if GROUP is not None and GROUP.size > 1:
                GROUP.meet()
                GROUP.comm.Barrier()  # meet returns up to 20 ms later in some
            timed = command[0] == 'exchange' and Timed(GROUP.comm)
            if timed:
                GROUP.comm = timed
            clock = (train.layer_clock if command[0] == 'layer'
                     else time.perf_counter)
            start = clock()
            for batch in batches[int(command[1]):int(command[2])]:
                runs[command[0]](batch)
            seconds = clock() - start
            if timed:
                GROUP.comm, seconds = timed.comm, timed.seconds
            print(seconds, flush=True)


def processes(name):
    """Set GROUP to the processes of this job; 'ours' may have several."""
    global GROUP
    if name not in GRAPHS:
        return contextlib.nullcontext()
    sys.path.insert(0, os.path.dirname(os.path.dirname(
        os.path.abspath(__file__))))
    from lstm_support.training import parallel
    GROUP = parallel.processes()
    return GROUP


def commands():
    """Yield the words of each line of input, which the first process reads."""
    if GROUP is None or GROUP.size == 1:
        for line in sys.stdin:
            yield line.split()
        return
    while True:
        words = sys.stdin.readline().split() if GROUP.first else None
        GROUP.meet()  # sleeps; bcast would keep a core busy
        words = GROUP.comm.bcast(words)
        if not words:
            return
        yield words


class Timed(object):
    """Measures the time of MPI's messages, once all processes are ready."""

    def __init__(self, comm):
        self.comm, self.seconds = comm, 0.

    def __getattr__(self, name):
        send = getattr(self.comm, name)

        def timed(*args):
            self.comm.Barrier()
            start = time.perf_counter()
            received = send(*args)
            self.seconds += time.perf_counter() - start
            return received
        return timed


if __name__ == '__main__':
    main()
