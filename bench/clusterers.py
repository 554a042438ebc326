"""Five seeds of KMeans, DBSCAN and Ward on the network's features, each with its parameters found without labels.

    python bench/clusterers.py [--seeds 5] [--out bench/clusterers.csv]

Twice each: fitted to the 60,000 training digits, the 10,000 test digits predicted (60k), and fitted to all 70,000
(70k). Clusters are named by the training digits. Writes one row a run, prints mean and standard deviation. Memory is
what the fit added at its peak to what was there before.
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
from tqdm import tqdm

from mnist_clustering.data import load_mnist
from mnist_clustering.evaluation import cluster_accuracy, macro_purity, map_clusters, score
from mnist_clustering.model import CLUSTERERS, ClusterModel

N = 60_000


@lru_cache(maxsize=1)
def points_of(network, seed):
    "The 70,000 points, training part first."
    train, test = load_mnist()
    model = ClusterModel('cnn', seed=seed, features_params={'network': network})
    points = model.fit_features(train.images, train.labels)
    return np.concatenate([points, model.transform(test.images)])


def stands_out(clusterer, model):
    "How clear the answer is: the length of DBSCAN's plateau, the size of Ward's gap."
    if clusterer == 'dbscan':
        return model.plateaus_.ratio[0]
    if clusterer == 'ward':
        return model.distances_[1 - model.n_clusters_] / model.distances_[-model.n_clusters_]
    return np.nan


def one_run(network, seed, clusterer, n_fit, points, labels):
    warnings.simplefilter('error') # an auto that is in doubt is a failure here
    CLUSTERERS['dbscan'].make(n=100, n_clusters='auto', seed=seed, eps=1.).fit(points[:100]) # numba compiles, or loads
    before = peak_mb()
    start = perf_counter()
    model = CLUSTERERS[clusterer].make(n=n_fit, n_clusters='auto', seed=seed).fit(points[:n_fit])
    seconds, mb = perf_counter() - start, peak_mb() - before
    clusters = model.labels_
    if n_fit < len(points):
        clusters = np.concatenate([clusters, model.predict(points[n_fit:])])
    nearest = model.predict(points, assign_noise=True) if CLUSTERERS[clusterer].leaves_noise else clusters
    names = map_clusters(labels[:N], clusters[:N])
    test = score(labels[N:], clusters[N:], names)
    return dict(network=network, seed=seed, clusterer=clusterer, fitted=f'{n_fit // 1000}k',
                n_clusters=int(clusters.max()) + 1, coverage=(clusters >= 0).mean(),
                accuracy_all=cluster_accuracy(labels, clusters, names), accuracy_test=test['accuracy'],
                nmi_test=test['nmi'], assigned_all=cluster_accuracy(labels, nearest, names),
                assigned_test=cluster_accuracy(labels[N:], nearest[N:], names),
                macro_purity_all=macro_purity(labels, clusters), seconds=seconds, mb=mb,
                stands_out=stands_out(clusterer, model))


@call_parse
def main(
    seeds: int = 5, # how many
    out: Path = Path('bench/clusterers.csv') # one row a run
):
    "Print the five-seed table of the three clusterers."
    train, test = load_mnist()
    labels = (train + test).labels
    runs = []
    for network in ('fast', 'simple'):
        for seed in range(seeds):
            for n in (N, len(labels)):
                runs += [(network, seed, n, clusterer) for clusterer in ('kmeans', 'dbscan', 'ward')]
    rows = []
    for network, seed, n_fit, clusterer in tqdm(runs, disable=None):
        points = points_of(network, seed)
        with multiprocessing.get_context('spawn').Pool(1) as pool: # a process of its own, so that its peak is its own
            rows.append(pool.apply(one_run, (network, seed, clusterer, n_fit, points, labels)))
        table = pd.DataFrame(rows)
        table.to_csv(out, index=False, float_format='%.6g')
    grouped = table.drop(columns='seed').groupby(['network', 'clusterer', 'fitted'], sort=False)
    print(grouped.agg(['mean', 'std', 'min', 'max']).T.unstack().to_string(float_format='{:.4f}'.format))
