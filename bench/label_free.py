"""The digits without a label, five seeds: how many shapes, how many digits, how well, how long.

    python bench/label_free.py [--seeds 5] [--out bench/label_free.csv]

Twice each: fitted to all 70,000 (70k), and fitted to the 60,000 training digits and asked about the 10,000 others (60k). Each row is the whole
road from images to piles, in a process of its own (mb is its peak) and with an empty cache. The labels are looked at once, at the end of a row,
for its scores: the names are those that fit the fitted digits best (Hungarian), as in the literature.

The 60k rows of bench/label_free.csv have no seconds: their maps and networks are those that mnist_compare had left in the cache.
"""
import multiprocessing
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
import pandas as pd
from fastcore.script import call_parse
from measure import peak_mb
from sklearn.cluster import KMeans
from tqdm import tqdm

from mnist_clustering.data import load_mnist
from mnist_clustering.evaluation import cluster_accuracy, map_clusters, purity, score
from mnist_clustering.label_free import LabelFreeFeatures
from mnist_clustering.prepare import NormalizedPCA
from mnist_clustering.shapes import DistortionMap


def one_row(fitted, seed):
    train, test = load_mnist()
    digits, n = (train + test if fitted == '70k' else train), len(train)
    with TemporaryDirectory() as folder:
        os.environ['MNIST_CLUSTERING_CACHE'] = folder
        DistortionMap(seed=seed).fit(digits.images[:300]) # numba compiles, or loads what it has compiled
        start = perf_counter()
        piles = DistortionMap(seed=seed).fit(digits.images)
        seconds_piles, mb_piles = perf_counter() - start, peak_mb()
        taught = LabelFreeFeatures(seed=seed).fit(digits.images)
        seconds, mb = perf_counter() - start, peak_mb()
        train_features, test_features = taught.transform(train.images), taught.transform(test.images)
        test_piles = piles.predict(test.images) if fitted == '60k' else piles.labels_[n:]
    prepare = NormalizedPCA().fit(train_features)
    kmeans = KMeans(piles.n_clusters_, n_init=4, random_state=seed).fit(prepare.transform(train_features))
    ratios = np.sort(np.where(np.eye(piles.n_pieces_, dtype=bool), np.inf, piles.ratios_).min(axis=1))
    names, taught_names, kmeans_names = (map_clusters(labels, found) for labels, found in (
        (digits.labels, piles.labels_), (digits.labels, taught.labels_), (train.labels, kmeans.labels_)))
    found_piles, found = score(digits.labels, piles.labels_, names), score(digits.labels, taught.labels_, taught_names)
    joined = piles.n_pieces_ - piles.n_clusters_
    return dict(
        fitted=fitted, seed=seed, n_pieces=piles.n_pieces_, n_clusters=piles.n_clusters_, joined_up_to=ratios[joined - 1], apart_from=ratios[joined],
        purity_pieces=purity(digits.labels, piles.pieces_), accuracy_piles=found_piles['accuracy'], nmi_piles=found_piles['nmi'], ari_piles=found_piles['ari'],
        accuracy_piles_test=cluster_accuracy(test.labels, test_piles, names), accuracy=found['accuracy'], nmi=found['nmi'], ari=found['ari'],
        accuracy_test=cluster_accuracy(test.labels, taught.labels_[n:] if fitted == '70k' else taught.predict(test.images), taught_names),
        accuracy_network=cluster_accuracy(digits.labels, taught.predict(digits.images), taught_names),
        accuracy_kmeans_test=cluster_accuracy(test.labels, kmeans.predict(prepare.transform(test_features)), kmeans_names),
        seconds_piles=seconds_piles, seconds=seconds, mb_piles=mb_piles, mb=mb)


@call_parse
def main(seeds: int = 5, # how many
         out: Path = Path('bench/label_free.csv')): # where to write
    "The digits without a label, seed by seed; what is written already is not done again."
    rows = pd.read_csv(out).to_dict('records') if out.exists() else []
    runs = [(fitted, seed) for fitted in ('70k', '60k') for seed in range(seeds)]
    for fitted, seed in tqdm(runs[len(rows):], disable=None):
        with multiprocessing.get_context('spawn').Pool(1) as process: rows.append(process.apply(one_row, [fitted, seed]))
        table = pd.DataFrame(rows)
        table.to_csv(out, index=False, float_format='%.6g')
    print(table.drop(columns='seed').groupby('fitted', sort=False).agg(['mean', 'std', 'min', 'max']).T.unstack().to_string(float_format='{:.5g}'.format))
