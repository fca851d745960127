"""A picture of a training: its cost and error rates."""
from lstm_support.storage import atomic_write, one_error


def plot(history, path):
    """Draw an array of :func:`lstm.load_history` as a .png or .svg file."""
    with one_error('drawing needs matplotlib: pip install matplotlib, or '
                   'start with "uv run --extra plot"'):
        import matplotlib
        matplotlib.use('Agg')  # draws without a display
        from matplotlib import pyplot
    update, cost, train, valid, test = history.T
    best = len(valid) - 1 - int(valid[::-1].argmin())  # the last minimum
    figure, (upper, lower) = pyplot.subplots(
        2, 1, sharex=True, figsize=(8, 6),
        gridspec_kw={'height_ratios': (1, 2)})
    upper.plot(update, cost, '.-', color='0.3')
    upper.set(ylabel='cost (nats)', ylim=(0, None))
    for errors, label, colour in ((train, 'training', '#2ca02c'),
                                  (valid, 'validation', '#ff7f0e'),
                                  (test, 'test', '#1f77b4')):
        lower.plot(update, errors, '.-', label=label, color=colour)
    lower.plot(update[best], valid[best], 'o', markersize=11, color='#ff7f0e',
               markerfacecolor='none', markeredgewidth=2,
               label='saved: validation %.4f, test %.4f' % (
                   valid[best], test[best]))
    lower.set(xlabel='updates', ylabel='error rate', xlim=(0, None),
              ylim=(0, None))
    lower.legend(frameon=False)
    for axes in (upper, lower):
        axes.spines[['top', 'right']].set_visible(False)
    figure.tight_layout()
    with atomic_write(path) as f, one_error('%s cannot be drawn' % path):
        figure.savefig(f, format=path.rpartition('.')[2], dpi=120)
    pyplot.close(figure)
