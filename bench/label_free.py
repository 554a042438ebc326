"""The digits without a label, five seeds: how many components, how many clusters, how well, how long.

    python bench/label_free.py [--seeds 5] [--out bench/label_free.csv]

Twice each: fitted to all 70,000 (70k), and fitted to the 60,000 training digits and asked about the 10,000 others
(60k). Each row is the whole road from images to clusters, in a process of its own (mb is its peak). The labels are
looked at once, at the end of a row, for its scores: the names are those that fit the fitted digits best (Hungarian), as
in the literature. In the table, "pieces" are the components of the map, and "piles" the clusters of the map alone.

The 70k rows begin with an empty cache, so that their seconds are those of all the work. The 60k rows have no seconds:
they use the maps and networks that mnist_compare left in the cache, if it ran before.
"""
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
import pandas as pd
from fastcore.script import call_parse
from measure import peak_mb
from tqdm import tqdm

from mnist_clustering.data import load_mnist
from mnist_clustering.evaluation import cluster_accuracy, map_clusters, purity, score
from mnist_clustering.kmeans import AutoKMeans
from mnist_clustering.label_free import LabelFreeFeatures
from mnist_clustering.prepare import NormalizedPCA
from mnist_clustering.shapes import DistortionMap


def one_row(fitted, seed):
    train, test = load_mnist()
    n = len(train)
    digits = train + test if fitted == '70k' else train
    with TemporaryDirectory() as folder:
        if fitted == '70k':
            os.environ['MNIST_CLUSTERING_CACHE'] = folder
        alone = DistortionMap(seed=seed, method='western_digits')
        alone.fit(digits.images[:300]) # numba compiles, or loads what it has compiled
        start = perf_counter()
        alone.fit(digits.images)
        seconds_alone, mb_alone = perf_counter() - start, peak_mb()
        taught = LabelFreeFeatures(seed=seed, method='western_digits').fit(digits.images)
        seconds, mb = perf_counter() - start, peak_mb()
        train_features, test_features = taught.transform(train.images), taught.transform(test.images)
        test_alone = alone.predict(test.images) if fitted == '60k' else alone.labels_[n:]
    prepare = NormalizedPCA().fit(train_features)
    kmeans = AutoKMeans(alone.n_clusters_, seed).fit(prepare.transform(train_features))
    test_kmeans = kmeans.predict(prepare.transform(test_features))
    test_taught = taught.labels_[n:] if fitted == '70k' else taught.predict(test.images)

    others = np.where(np.eye(alone.n_connected_components_, dtype=bool), np.inf, alone.ratios_)
    ratios = np.sort(others.min(axis=1))
    joined = alone.n_connected_components_ - alone.n_clusters_
    names = map_clusters(digits.labels, alone.labels_)
    taught_names = map_clusters(digits.labels, taught.labels_)
    kmeans_names = map_clusters(train.labels, kmeans.labels_)
    of_alone = score(digits.labels, alone.labels_, names)
    of_taught = score(digits.labels, taught.labels_, taught_names)
    return dict(
        fitted=fitted, seed=seed, n_pieces=alone.n_connected_components_, n_clusters=alone.n_clusters_,
        joined_up_to=ratios[joined - 1], apart_from=ratios[joined],
        purity_pieces=purity(digits.labels, alone.component_labels_),
        accuracy_piles=of_alone['accuracy'], nmi_piles=of_alone['nmi'], ari_piles=of_alone['ari'],
        accuracy_piles_test=cluster_accuracy(test.labels, test_alone, names),
        accuracy=of_taught['accuracy'], nmi=of_taught['nmi'], ari=of_taught['ari'],
        accuracy_test=cluster_accuracy(test.labels, test_taught, taught_names),
        accuracy_network=cluster_accuracy(digits.labels, taught.predict(digits.images), taught_names),
        accuracy_kmeans_test=cluster_accuracy(test.labels, test_kmeans, kmeans_names),
        seconds_piles=seconds_alone if fitted == '70k' else np.nan,
        seconds=seconds if fitted == '70k' else np.nan, mb_piles=mb_alone, mb=mb)


@call_parse
def main(
    seeds: int = 5, # how many
    out: Path = Path('bench/label_free.csv') # where to write
):
    "The digits without a label, seed by seed; what is written already is not done again."
    rows = pd.read_csv(out).to_dict('records') if out.exists() else []
    runs = [(fitted, seed) for fitted in ('70k', '60k') for seed in range(seeds)]
    for fitted, seed in tqdm(runs[len(rows):], disable=None):
        with ProcessPoolExecutor(1, get_context('spawn')) as process: # one that may start others, for the maps
            rows.append(process.submit(one_row, fitted, seed).result())
        pd.DataFrame(rows).to_csv(out, index=False, float_format='%.6g')
    grouped = pd.DataFrame(rows).drop(columns='seed').groupby('fitted', sort=False)
    print(grouped.agg(['mean', 'std', 'min', 'max']).T.unstack().to_string(float_format='{:.5g}'.format))
