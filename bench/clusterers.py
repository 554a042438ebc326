"""Five seeds of KMeans, DBSCAN and Ward on the network's features, each with its parameters found without labels.

    python bench/clusterers.py [--seeds 5] [--out bench/clusterers.csv]

Twice each: fitted to the 60,000 training digits, the 10,000 test digits predicted (60k), and fitted to all 70,000 (70k). Clusters are named by
the training digits. Writes one row a run, prints mean and standard deviation. Memory is what the fit added at its peak to what was there before.
"""
import multiprocessing
import warnings
from functools import lru_cache
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
from fastcore.script import call_parse
from measure import peak_mb
from sklearn.cluster import KMeans
from tqdm import tqdm

from mnist_clustering.agglomerative import Ward
from mnist_clustering.data import load_mnist
from mnist_clustering.dbscan import AutoDBSCAN
from mnist_clustering.evaluation import cluster_accuracy, macro_purity, map_clusters, score
from mnist_clustering.kmeans import best_n_clusters, elbow
from mnist_clustering.model import make_points
from mnist_clustering.prepare import NormalizedPCA

N = 60_000


@lru_cache(maxsize=1)
def points_of(network, seed):
    raw, _, _ = make_points(*load_mnist(), 'cnn', network, seed, fresh=False)
    return NormalizedPCA().fit(raw[:N]).transform(raw)


def one_run(network, seed, clusterer, n_fit, points, labels):
    warnings.simplefilter('error') # an auto that is in doubt is a failure here
    AutoDBSCAN(eps=1.).fit(points[:100]) # numba compiles, or loads what it has compiled
    before = peak_mb()
    start = perf_counter()
    if clusterer == 'kmeans': model = KMeans(best_n_clusters(elbow(points[:n_fit], seed=seed)), n_init=4, random_state=seed)
    else: model = AutoDBSCAN() if clusterer == 'dbscan' else Ward()
    model.fit(points[:n_fit])
    seconds, mb = perf_counter() - start, peak_mb() - before
    clusters = model.labels_ if n_fit == len(points) else np.concatenate([model.labels_, model.predict(points[n_fit:])])
    nearest = model.predict(points, assign_noise=True) if clusterer == 'dbscan' else clusters
    names = map_clusters(labels[:N], clusters[:N])
    test = score(labels[N:], clusters[N:], names)
    return dict(network=network, seed=seed, clusterer=clusterer, fitted=f'{n_fit // 1000}k', n_clusters=int(clusters.max()) + 1, coverage=(clusters >= 0).mean(),
                accuracy_all=cluster_accuracy(labels, clusters, names), accuracy_test=test['accuracy'], nmi_test=test['nmi'],
                assigned_all=cluster_accuracy(labels, nearest, names), assigned_test=cluster_accuracy(labels[N:], nearest[N:], names),
                macro_purity_all=macro_purity(labels, clusters), seconds=seconds, mb=mb,
                stands_out={'kmeans': lambda: np.nan, 'dbscan': lambda: model.plateaus_.ratio[0], 'ward': lambda: model.distances_[1 - model.n_clusters_] / model.distances_[-model.n_clusters_]}[clusterer]())


@call_parse
def main(
    seeds: int = 5, # how many
    out: Path = Path('bench/clusterers.csv') # one row a run
):
    "Print the five-seed table of the three clusterers."
    train, test = load_mnist()
    labels = (train + test).labels
    runs = [(network, seed, n_fit, clusterer) for network in ('fast', 'simple') for seed in range(seeds) for n_fit in (N, len(labels)) for clusterer in ('kmeans', 'dbscan', 'ward')]
    rows = []
    for network, seed, n_fit, clusterer in tqdm(runs, disable=None):
        with multiprocessing.get_context('spawn').Pool(1) as pool: # a process of its own, so that its peak is its own
            rows.append(pool.apply(one_run, (network, seed, clusterer, n_fit, points_of(network, seed), labels)))
        table = pd.DataFrame(rows)
        table.to_csv(out, index=False, float_format='%.6g')
    means = table.drop(columns='seed').groupby(['network', 'clusterer', 'fitted'], sort=False).agg(['mean', 'std', 'min', 'max'])
    print(means.T.unstack().to_string(float_format='{:.4f}'.format))
