"""Five seeds of everything that the README claims: mean, standard deviation, worst.

    python bench/figures.py [--seeds 5] [--out bench/figures.csv]

Trains each network once a seed (from the cache if it is there), clusters the 60,000 training digits with KMeans,
and scores the 10,000 test digits with the names frozen. Prints one table; writes one row a run.
"""
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
from fastcore.script import call_parse
from sklearn.cluster import KMeans
from tqdm import tqdm

from mnist_clustering.data import load_mnist
from mnist_clustering.evaluation import macro_purity, score_frozen
from mnist_clustering.features import FEATURES
from mnist_clustering.kmeans import best_n_clusters, elbow

RUNS = {'fast': ('cnn', {'network': 'fast'}), 'simple': ('cnn', {'network': 'simple'}), 'pixels': ('pixels', {})}


def one_run(title, seed):
    train, test = load_mnist()
    name, parameters = RUNS[title]
    maker = FEATURES[name].make(seed=seed, fresh=False, **parameters).fit(train.images, train.labels)
    taught = FEATURES[name].needs_labels
    start = perf_counter()
    points, new_points = maker.transform(train.images), maker.transform(test.images)
    seconds_features = perf_counter() - start

    start = perf_counter()
    kmeans = KMeans(10, n_init=4, random_state=seed).fit(points)
    clusters, new_clusters = kmeans.predict(points), kmeans.predict(new_points)
    seconds_kmeans = perf_counter() - start

    honest = score_frozen(train.labels, clusters, test.labels, new_clusters)
    everything = np.concatenate([clusters, new_clusters])
    return dict(features=title, seed=seed,
                cnn_test_accuracy=maker.score(test.images, test.labels) if taught else np.nan,
                accuracy=honest['accuracy'], nmi=honest['nmi'], ari=honest['ari'],
                macro_purity_all=macro_purity((train + test).labels, everything),
                auto_n_clusters=best_n_clusters(elbow(points, seed=seed)) if taught else np.nan,
                precision=str(maker.history_['precision']) if taught else 'float32',
                seconds_train=float(maker.history_['seconds']) if taught else 0.,
                seconds_features=seconds_features, seconds_kmeans=seconds_kmeans)


@call_parse
def main(
    seeds: int = 5, # how many
    out: Path = Path('bench/figures.csv') # one row a run
):
    "Print the five-seed table."
    rows = []
    for title, seed in tqdm([(title, seed) for seed in range(seeds) for title in RUNS], disable=None):
        rows.append(one_run(title, seed))
    table = pd.DataFrame(rows)
    table.to_csv(out, index=False, float_format='%.6g')
    measures = ['cnn_test_accuracy', 'accuracy', 'macro_purity_all', 'nmi', 'ari', 'seconds_train', 'seconds_kmeans']
    grouped = table.groupby('features', sort=False)[measures]
    print(grouped.agg(['mean', 'std', 'min', 'max']).T.unstack().to_string(float_format='{:.4f}'.format))
    print('number of clusters found on CNN features:', table.auto_n_clusters.dropna().astype(int).tolist())
