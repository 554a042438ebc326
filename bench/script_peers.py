"""What other libraries make of images of any script; run by scripts.py in the environment of the peers (child.py).

All get the pixels as rows of numbers from 0 to 1. X-means and dip-means get the 50 main directions, for time.
"""
from pathlib import Path

import numpy as np


def pixels_of(folder):
    return np.load(Path(folder) / 'pixels.npy')


def main_directions(pixels):
    from sklearn.decomposition import PCA
    return PCA(min(50, *pixels.shape), random_state=0).fit_transform(pixels)


def kmeans(points, k, seed, n_init=4):
    from sklearn.cluster import KMeans
    return KMeans(k, n_init=n_init, random_state=seed).fit(points).labels_


def told_pixels(pixels, k, seed):
    return kmeans(pixels, k, seed)


def told_pca(pixels, k, seed):
    return kmeans(main_directions(pixels), k, seed)


def told_spectral(pixels, k, seed):
    from sklearn.cluster import SpectralClustering
    return SpectralClustering(k, affinity='nearest_neighbors', random_state=seed).fit(pixels).labels_


def umap_hdbscan(pixels, k, seed):
    from hdbscan import HDBSCAN
    from umap import UMAP
    return HDBSCAN().fit(UMAP(random_state=seed).fit_transform(pixels)).labels_


def evoc(pixels, k, seed):
    from evoc import EVoC
    return EVoC(random_state=seed).fit_predict(pixels)


def x_means(pixels, k, seed):
    from clustpy.centroid import XMeans
    return XMeans(random_state=seed).fit(main_directions(pixels)).labels_


def dip_means(pixels, k, seed):
    from clustpy.centroid import DipMeans
    return DipMeans(random_state=seed).fit(main_directions(pixels)).labels_


def silhouette(pixels, k, seed):
    "KMeans with the number of clusters from 2 to 50 whose silhouette is highest, tried on at most 5,000 images."
    from sklearn.metrics import silhouette_score
    sample = np.random.default_rng(seed).permutation(len(pixels))[:5000]
    scores = {}
    for clusters in range(2, 51):
        labels = kmeans(pixels[sample], clusters, seed, n_init=1)
        scores[clusters] = silhouette_score(pixels[sample], labels, sample_size=2000, random_state=0)
    return kmeans(pixels, max(scores, key=scores.get), seed)


METHODS = { # title: (function, seeds, the most images)
    'KMeans on pixels, k told': (told_pixels, 5, 100_000),
    'KMeans on PCA, k told': (told_pca, 5, 100_000),
    'Spectral on pixels, k told': (told_spectral, 1, 10_000),
    'UMAP + HDBSCAN': (umap_hdbscan, 5, 100_000),
    'EVoC': (evoc, 5, 100_000),
    'X-means': (x_means, 1, 10_000),
    'Dip-means': (dip_means, 1, 10_000),
    'Silhouette on pixels': (silhouette, 1, 10_000),
}


def contender(method):
    def run(stopwatch, folder, k, seeds):
        first = np.load(Path(folder) / 'pixels_0.npy')
        method(first[:200], min(k, 20), 0) # libraries are loaded and compiled
        labels, seconds = [], []
        for seed in range(seeds):
            pixels = np.load(Path(folder) / f'pixels_{seed}.npy')
            with stopwatch():
                labels.append(np.asarray(method(pixels, k, seed)))
            seconds.append(stopwatch.found['seconds'])
        return dict(labels=np.concatenate(labels), seconds_of_each=seconds)

    return run


CONTENDERS = {title: contender(method) for title, (method, _, _) in METHODS.items()}
