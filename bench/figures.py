"""Five seeds of everything that the README claims: mean, standard deviation, worst.

    python bench/figures.py [--seeds 5] [--out bench/figures.csv]

Trains each network once a seed (from the cache if it is there), clusters the 60,000 training digits with KMeans, and scores the
10,000 test digits with the names frozen. Prints one table; writes one row a run.
"""
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
from fastcore.script import call_parse
from sklearn.cluster import KMeans
from tqdm import tqdm

from mnist_clustering.data import load_mnist
from mnist_clustering.evaluation import macro_purity, map_clusters, score
from mnist_clustering.kmeans import best_n_clusters, elbow
from mnist_clustering.model import make_points


def one_run(features, network, seed):
    train, test = load_mnist()
    points, cnn, seconds = make_points(train, test, features, network, seed, fresh=False)
    start = perf_counter()
    clusters = KMeans(10, n_init=4, random_state=seed).fit(points[:60_000]).predict(points)
    seconds['kmeans'] = perf_counter() - start
    honest = score(test.labels, clusters[60_000:], map_clusters(train.labels, clusters[:60_000]))
    return dict(features=features if features == 'pixels' else network, seed=seed, cnn_test_accuracy=cnn.score(test.images, test.labels) if cnn else np.nan,
                accuracy=honest['accuracy'], nmi=honest['nmi'], ari=honest['ari'], macro_purity_all=macro_purity((train + test).labels, clusters),
                auto_n_clusters=best_n_clusters(elbow(points[:60_000], seed=seed)) if cnn else np.nan, precision=str(cnn.history_['precision']) if cnn else 'float32',
                **{f'seconds_{name}': value for name, value in seconds.items()})


@call_parse
def main(
    seeds: int = 5, # how many
    out: Path = Path('bench/figures.csv') # one row a run
):
    "Print the five-seed table."
    runs = [(features, network, seed) for seed in range(seeds) for features, network in (('cnn', 'fast'), ('cnn', 'simple'), ('pixels', 'none'))]
    table = pd.DataFrame([one_run(*run) for run in tqdm(runs, disable=None)])
    table.to_csv(out, index=False, float_format='%.6g')
    measures = table.groupby('features', sort=False)[['cnn_test_accuracy', 'accuracy', 'macro_purity_all', 'nmi', 'ari', 'seconds_train', 'seconds_kmeans']]
    print(measures.agg(['mean', 'std', 'min', 'max']).T.unstack().to_string(float_format='{:.4f}'.format))
    print('number of clusters found on CNN features:', table.auto_n_clusters.dropna().astype(int).tolist())
