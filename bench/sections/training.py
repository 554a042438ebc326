"""Training: the recipes of now against the recipes before, which are kept in bench/old_recipe.py.

The recipes of now train to the end. Those before train two epochs, and the time of the second is taken for all others.
"""
from pathlib import Path

import numpy as np


def load(folder):
    images, labels = np.load(Path(folder) / 'images.npy'), np.load(Path(folder) / 'labels.npy')
    n_train = len(images) * 6 // 7
    return images[:n_train], labels[:n_train], images[n_train:], labels[n_train:]


def now(stopwatch, folder, network, epochs=None):
    "Train to the end; the accuracy is that of the network on the test images."
    from mnist_clustering.features import CnnFeatures
    images, labels, test_images, test_labels = load(folder)
    CnnFeatures(network, epochs=1, fresh=True).fit(images[:300], labels[:300]) # loads, compiles
    with stopwatch():
        model = CnnFeatures(network, epochs=epochs, fresh=True).fit(images, labels)
    return dict(accuracy=model.score(test_images, test_labels), precision=str(model.history_['precision']),
                epochs=len(model.history_['loss']), whole_cpu=stopwatch.found['cpu'],
                whole_seconds=stopwatch.found['seconds'])


def before(stopwatch, folder, network):
    "Train two epochs of the recipe before."
    from old_recipe import EPOCHS, fit_network
    images, labels, _, _ = load(folder)
    with stopwatch():
        first, second = fit_network(images, labels, network, measured_epochs=2)
    rest = EPOCHS[network] - 1
    return dict(epochs=EPOCHS[network], measured='2 epochs', whole_cpu=first['cpu'] + rest * second['cpu'],
                whole_seconds=first['seconds'] + rest * second['seconds'])


CONTENDERS = {
    'fast, now': lambda stopwatch, folder: now(stopwatch, folder, 'fast'),
    'fast, before': lambda stopwatch, folder: before(stopwatch, folder, 'fast'),
    'simple, now': lambda stopwatch, folder: now(stopwatch, folder, 'simple'),
    'simple, before': lambda stopwatch, folder: before(stopwatch, folder, 'simple'),
}


def run(bench):
    "By turns; the simple network once."
    rows = []
    for network, repeats in (('fast', 3), ('simple', 1)):
        titles = [f'{network}, now', f'{network}, before']
        turns = []
        for _ in range(1 if bench.quick else repeats):
            turns.append([bench.fit('sections.training', title, folder=str(bench.data), limit=420) for title in titles])
        for which in range(2):
            row = bench.combine([turn[which] for turn in turns])
            if 'stopped' not in row:
                for name in ('whole_cpu', 'whole_seconds'):
                    row[name] = float(np.median([turn[which][name] for turn in turns]))
            rows.append(row)
    ratios = {}
    for network, (row, old) in zip(('fast', 'simple'), (rows[:2], rows[2:])):
        if 'stopped' not in row and 'stopped' not in old:
            ratios[f'training {network}, processor time: before / now'] = old['whole_cpu'] / row['whole_cpu']
    return dict(rows=rows, ratios=ratios)
