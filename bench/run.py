"""Everything that `make bench` measures, in one go, in 35 minutes on two cores.

    python bench/run.py [--peers .venv-bench/bin/python] [--only limit …] [--out bench/results.json] [--quick]

Each section is a module in bench/sections/, each fit a process of its own. The results are kept after each section:
a run that was broken goes on where it stopped, as long as the commit and the machine are the same. At the end they take
the place of the last results, RESULTS.md is written from them, and history.csv gets a row of ratios.
"""
import argparse
import importlib
from pathlib import Path
from tempfile import TemporaryDirectory

import joblib
import numpy as np
import pandas as pd
from results import HERE, Bench
from sklearn.decomposition import PCA

from mnist_clustering.bench import markdown
from mnist_clustering.data import load_mnist
from mnist_clustering.dbscan import AutoDBSCAN
from mnist_clustering.model import ClusterModel

SECTIONS = ['limit', 'training', 'original', 'peers', 'roads', 'growth']
QUICK = ' (quick)'


def prepare(bench, n):
    "Write what the sections share into a folder: images, the points of the fast network, pixels, a sample."
    bench.kept = TemporaryDirectory(prefix='bench-') # it goes when this process ends
    folder = bench.data = Path(bench.kept.name)
    train, test = load_mnist()
    every = train + test
    n_train = n * 6 // 7
    images = np.concatenate([train.images[:n_train], test.images[:n - n_train]])
    labels = np.concatenate([train.labels[:n_train], test.labels[:n - n_train]])
    model = ClusterModel('cnn', seed=0)
    points = model.fit_features(images[:n_train], labels[:n_train])
    points = np.concatenate([points, model.transform(images[n_train:])]).astype(np.float32)
    joblib.dump((model.features_, model.prepare_), folder / 'model.joblib')
    pixels = images.reshape(n, -1).astype(np.float32) / 255
    order = np.random.default_rng(0).permutation(n)
    arrays = dict(images=images, labels=labels, points=points, pixels=pixels, shuffled=images[order],
                  pca=PCA(min(50, n), random_state=0).fit_transform(pixels).astype(np.float32))
    sample = np.random.default_rng(1).permutation(len(every))[:min(n, 10_000)]
    arrays |= dict(some=every.images[sample])
    for name, array in arrays.items():
        np.save(folder / f'{name}.npy', array)
    bench.truth, bench.some_truth = labels, every.labels[sample]
    bench.eps = AutoDBSCAN().fit(points).eps_


def add_to_history(results, file):
    "A row for this run: when, which commit, which processor, and every ratio; rows of a try on small sizes go."
    machine = results['machine']
    commit = results['commit'] + (QUICK if results['quick'] else '')
    row = dict(date=results['date'], commit=commit, cores=machine['cores'], flags=' '.join(machine['flags']))
    row |= results['ratios']
    history = pd.DataFrame([row])
    if file.exists():
        earlier = pd.read_csv(file)
        whole = ~earlier.commit.str.endswith(QUICK)
        history = pd.concat([earlier[whole], history], ignore_index=True)
    history.drop_duplicates('commit', keep='last').to_csv(file, index=False, float_format='%.4g')


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--peers', type=Path, default=HERE.parent / '.venv-bench/bin/python',
                        help='the Python that has the other libraries')
    parser.add_argument('--only', nargs='+', choices=SECTIONS, default=SECTIONS,
                        help='sections; RESULTS.md is written only after all of them')
    parser.add_argument('--out', type=Path, default=HERE / 'results.json', help='where the results go')
    parser.add_argument('--quick', action='store_true', help='small sizes, to see whether everything runs')
    asked = parser.parse_args()
    bench = Bench(asked.out, asked.peers, asked.quick)
    prepare(bench, 2_100 if asked.quick else 70_000)
    for name in asked.only:
        bench.section(name, importlib.import_module(f'sections.{name}').run)
    if len(asked.only) < len(SECTIONS):
        return
    ratios = bench.results['ratios'] = {}
    for section in bench.results['sections'].values():
        ratios |= {name: value for name, value in section.get('ratios', {}).items() if value}
    bench.finish()
    asked.out.with_name('RESULTS.md').write_text(markdown(bench.results))
    add_to_history(bench.results, asked.out.with_name('history.csv'))


if __name__ == '__main__':
    main()
