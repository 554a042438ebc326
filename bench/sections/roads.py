"""Whole roads from pixels to clusters, without a label, on a sample of 10,000 images (each row says how many).

Ours, and those of others with their defaults; where a road trains for an hour, its row says how many epochs it got.
"""
from pathlib import Path

import numpy as np


def load(folder, n=None):
    return np.load(Path(folder) / 'some.npy')[:n]


def flat(images):
    return images.reshape(len(images), -1).astype(np.float32) / 255


def distortion_map(stopwatch, folder):
    from mnist_clustering.shapes import DistortionMap
    images = load(folder)
    DistortionMap(seed=0, method='western_digits').fit(images[:300])
    with stopwatch():
        labels = DistortionMap(seed=0, fresh=True, method='western_digits').fit(images).labels_
    return dict(labels=labels, n=len(images))


def label_free(stopwatch, folder):
    from mnist_clustering.label_free import LabelFreeFeatures
    from mnist_clustering.shapes import DistortionMap
    images = load(folder)
    DistortionMap(seed=0, method='western_digits').fit(images[:300])
    with stopwatch():
        labels = LabelFreeFeatures(seed=0, fresh=True, method='western_digits').fit(images).labels_
    return dict(labels=labels, n=len(images))


def pixels_kmeans(stopwatch, folder):
    from sklearn.cluster import KMeans
    points = flat(load(folder))
    with stopwatch():
        labels = KMeans(10, n_init=4, random_state=0).fit_predict(points)
    return dict(labels=labels, n=len(points))


def umap_hdbscan(stopwatch, folder):
    from fast_hdbscan import HDBSCAN
    from umap import UMAP
    points = flat(load(folder))
    HDBSCAN().fit(UMAP(random_state=0, n_jobs=1).fit_transform(points[:300]))
    with stopwatch():
        labels = HDBSCAN().fit_predict(UMAP(random_state=0, n_jobs=1).fit_transform(points))
    return dict(labels=labels, n=len(points), told='nothing')


def n2d(stopwatch, folder, epochs):
    "An autoencoder, UMAP of its code and a Gaussian mixture (McConville et al., 2019), written again."
    from sklearn.mixture import GaussianMixture
    from umap import UMAP

    from mnist_clustering.cnn import load_tensorflow
    load_tensorflow()
    import keras
    points = flat(load(folder))
    layers = keras.layers

    def fit(points, epochs):
        keras.utils.set_random_seed(0)
        entrance = keras.Input((784,))
        x = entrance
        for width in (500, 500, 2_000):
            x = layers.Dense(width, activation='relu')(x)
        code = layers.Dense(10)(x)
        x = code
        for width in (2_000, 500, 500):
            x = layers.Dense(width, activation='relu')(x)
        autoencoder = keras.Model(entrance, layers.Dense(784)(x))
        autoencoder.compile('adam', 'mse')
        autoencoder.fit(points, points, batch_size=256, epochs=epochs, verbose=0)
        codes = keras.Model(entrance, code).predict(points, batch_size=512, verbose=0)
        layout = UMAP(n_neighbors=20, min_dist=0., n_components=10, random_state=0, n_jobs=1).fit_transform(codes)
        return GaussianMixture(10, random_state=0).fit_predict(layout)

    fit(points[:300], 1)
    with stopwatch():
        labels = fit(points, epochs)
    return dict(labels=labels, n=len(points), told=f'10 clusters, {epochs} epochs')


def clustpy_deep(name):
    def fit(stopwatch, folder, epochs):
        import torch
        from clustpy import deep
        torch.set_num_threads(2)
        points = flat(load(folder))

        def make(epochs):
            return getattr(deep, name)(n_clusters=10, pretrain_epochs=epochs, clustering_epochs=epochs, random_state=0)

        make(1).fit(points[:300])
        with stopwatch():
            labels = make(epochs).fit(points).labels_
        return dict(labels=labels.astype(int), n=len(points), told=f'10 clusters, {epochs} + {epochs} epochs')

    return fit


def clustimage_pca(stopwatch, folder, n):
    "PCA, t-SNE, then agglomerative clusters with the best silhouette of 3 to 25."
    from clustimage import Clustimage
    images = load(folder, n)
    points = flat(images)
    with stopwatch():
        model = Clustimage(method='pca', grayscale=True, dim=(28, 28), verbose='critical')
        found = model.fit_transform(points)
    return dict(labels=np.asarray(found['labels']).astype(int), n=len(points), told='3 to 25 clusters')


def imcluster_pipeline(stopwatch, folder):
    "imcluster's reduction (UMAP, 50) and clusters (KMeans), without its network, whose weights are not to be had."
    from imcluster.cluster import cluster
    from imcluster.reduction import reduce_dimensions

    class Kept:
        "Stands in for its table of images."
        def __init__(self, images):
            self.images, self.output, self.columns = images, 'memory', {}

        def has_column(self, name):
            return False

        def get_column(self, name):
            return self.columns[name]

        def save_column(self, name, values):
            self.columns[name] = values

    points = flat(load(folder))

    def fit(points):
        kept = Kept(list(range(len(points))))
        vectors = reduce_dimensions(kept, points, method='umap', dimensions=50)
        cluster(kept, vectors, algorithm='kmeans', n_clusters=10)
        return np.asarray(kept.columns['kmeans_cluster'])

    fit(points[:300])
    with stopwatch():
        labels = fit(points)
    return dict(labels=labels.astype(int), n=len(points), told='10 clusters')


CONTENDERS = {
    'distortion map (ours)': lambda stopwatch, folder, **others: distortion_map(stopwatch, folder),
    'label-free network (ours)': lambda stopwatch, folder, **others: label_free(stopwatch, folder),
    'KMeans on pixels': lambda stopwatch, folder, **others: pixels_kmeans(stopwatch, folder),
    'UMAP + HDBSCAN': lambda stopwatch, folder, **others: umap_hdbscan(stopwatch, folder),
    'autoencoder + UMAP + mixture (as N2D)':
        lambda stopwatch, folder, epochs, **others: n2d(stopwatch, folder, 4 * epochs),
    'ClustPy DEC': lambda stopwatch, folder, epochs, **others: clustpy_deep('DEC')(stopwatch, folder, epochs),
    'ClustPy DCN': lambda stopwatch, folder, epochs, **others: clustpy_deep('DCN')(stopwatch, folder, epochs),
    'clustimage': lambda stopwatch, folder, n, **others: clustimage_pca(stopwatch, folder, n),
    "imcluster's pipeline on pixels": lambda stopwatch, folder, **others: imcluster_pipeline(stopwatch, folder),
}
PEERS = ['ClustPy DEC', 'ClustPy DCN', 'clustimage', "imcluster's pipeline on pixels"]


def run(bench):
    "Each once; those that take under a minute three times would take half an hour."
    titles = {title: 'peers' if title in PEERS else 'ours' for title in CONTENDERS}
    rows = bench.alternate('sections.roads', titles, repeats=1, truth=bench.some_truth, folder=str(bench.data),
                           epochs=1 if bench.quick else 10, n=300 if bench.quick else 2_000)
    return dict(rows=rows)
