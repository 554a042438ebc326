"""Clusterers on the same points: ours and those of other libraries.

First the 70,000 points that the pipeline clusters (the network's 128 numbers after NormalizedPCA). Then pixels: all
784 of all images for those that can, else 50 main directions of 10,000 images. Where a method wants a number of
clusters it is told ten; scikit-learn's DBSCAN is told the eps that ours finds; density methods are told the same
smallest cluster, 0.5 % of the points.
"""
from pathlib import Path

import numpy as np


def fitted(stopwatch, folder, file, n, make, dtype=np.float32, small=1_000):
    "Fit the first n points of a file; before that, few points, which loads and compiles."
    points = np.load(Path(folder) / file)[:n].astype(dtype, order='C')
    size = int(np.ceil(.005 * len(points)))
    make(min(size, 50))(points[:small])
    with stopwatch():
        labels = make(size)(points)
    return dict(labels=labels, n=len(points), d=points.shape[1])


def sklearn_cluster(name, **parameters):
    def make(size):
        import sklearn.cluster
        return getattr(sklearn.cluster, name)(**parameters).fit_predict

    return make


def auto_kmeans(size):
    from mnist_clustering.kmeans import AutoKMeans
    return AutoKMeans(10, seed=0).fit_predict


def auto_dbscan(size):
    from mnist_clustering.dbscan import AutoDBSCAN
    return AutoDBSCAN(min_cluster_size=size).fit_predict


def ward(size):
    from mnist_clustering.agglomerative import Ward
    return Ward().fit_predict


def ward_told(size):
    from mnist_clustering.agglomerative import Ward
    return Ward(10).fit_predict


def sklearn_hdbscan(size):
    from sklearn.cluster import HDBSCAN
    return HDBSCAN(min_cluster_size=size, copy=True, n_jobs=-1).fit_predict


def hdbscan_library(size):
    import hdbscan
    return hdbscan.HDBSCAN(min_cluster_size=size, core_dist_n_jobs=-1).fit_predict


def fast_hdbscan_library(size):
    import fast_hdbscan
    return fast_hdbscan.HDBSCAN(min_cluster_size=size).fit_predict


def linkage_vector(size):
    import fastcluster
    from scipy.cluster.hierarchy import fcluster
    return lambda points: fcluster(fastcluster.linkage_vector(points, method='ward'), 10, 'maxclust') - 1


def faiss_kmeans(size):
    import faiss

    def fit(points):
        kmeans = faiss.Kmeans(points.shape[1], 10, niter=25, nredo=4, seed=0, max_points_per_centroid=len(points))
        kmeans.train(points)
        return kmeans.index.search(points, 1)[1][:, 0]

    return fit


def genie(size):
    import genieclust
    return genieclust.Genie(10).fit_predict


def evoc(size):
    from evoc import EVoC
    return EVoC(base_min_cluster_size=size, random_state=0).fit_predict


METHODS = { # title: (environment, maker)
    'KMeans (ours, told 10)': ('ours', auto_kmeans),
    'AutoDBSCAN (ours), finds its eps': ('ours', auto_dbscan),
    'Ward (ours), finds its cut': ('ours', ward),
    'scikit-learn KMeans': ('ours', sklearn_cluster('KMeans', n_clusters=10, n_init=4, random_state=0)),
    'scikit-learn MiniBatchKMeans': ('ours', sklearn_cluster('MiniBatchKMeans', n_clusters=10, random_state=0)),
    'faiss KMeans': ('peers', faiss_kmeans),
    'scikit-learn HDBSCAN': ('ours', sklearn_hdbscan),
    'hdbscan': ('peers', hdbscan_library),
    'fast_hdbscan': ('ours', fast_hdbscan_library),
    'scikit-learn Birch': ('ours', sklearn_cluster('Birch', n_clusters=10, threshold=.1)),
    'fastcluster linkage_vector': ('peers', linkage_vector),
    'genieclust': ('peers', genie),
    'evoc': ('peers', evoc),
}
TOLD_EPS = 'scikit-learn DBSCAN, told eps'
ON_20000 = 'scikit-learn Agglomerative, 20,000 points'
ON_PIXELS = ['KMeans (ours, told 10)', 'scikit-learn KMeans', 'scikit-learn MiniBatchKMeans', 'faiss KMeans']


def contender(make):
    return lambda stopwatch, folder, file, n, **others: fitted(stopwatch, folder, file, n, make)


CONTENDERS = {title: contender(make) for title, (where, make) in METHODS.items()}


def told_eps(stopwatch, folder, file, n, eps):
    def make(size):
        return sklearn_cluster('DBSCAN', eps=eps, min_samples=size, n_jobs=-1)(size)

    return fitted(stopwatch, folder, file, n, make)


def agglomerative(stopwatch, folder, file, n, **others):
    return fitted(stopwatch, folder, file, min(n, 20_000), sklearn_cluster('AgglomerativeClustering', n_clusters=10))


CONTENDERS[TOLD_EPS] = told_eps
CONTENDERS[ON_20000] = agglomerative


def run(bench):
    "On features, three turns; on pixels, one."
    truth, folder = bench.truth, str(bench.data)
    n = len(truth)
    environments = {title: where for title, (where, _) in METHODS.items()}
    everyone = environments | {TOLD_EPS: 'ours', ON_20000: 'ours'}
    features = bench.alternate('sections.peers', everyone, truth=truth, folder=folder, file='points.npy', n=n,
                               eps=bench.eps)
    on_pixels = {title: environments[title] for title in ON_PIXELS}
    pixels = bench.alternate('sections.peers', on_pixels, repeats=1, truth=truth, folder=folder, file='pixels.npy', n=n)
    rest = {title: where for title, where in environments.items() if title not in on_pixels}
    some = min(n, 10_000)
    pixels += bench.alternate('sections.peers', rest, repeats=1, truth=truth, folder=folder, file='pca.npy', n=some)
    seconds = {row['method']: row.get('seconds') for row in features}

    def ratio(theirs, ours):
        return seconds[theirs] / seconds[ours] if seconds.get(theirs) and seconds.get(ours) else None

    dbscan, own_ward = 'AutoDBSCAN (ours), finds its eps', 'Ward (ours), finds its cut'
    ratios = {
        'hdbscan / AutoDBSCAN': ratio('hdbscan', dbscan),
        'scikit-learn DBSCAN, told eps / AutoDBSCAN': ratio(TOLD_EPS, dbscan),
        'fastcluster / Ward': ratio('fastcluster linkage_vector', own_ward)}
    return dict(features=features, pixels=pixels, ratios=ratios, n=n)
