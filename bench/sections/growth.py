"""How seconds and memory grow: 5,000 to 70,000 real images, and on to 1,000,000 of which most are made from these.

An image is made from a real one by moving it up to two pixels, not by whole ones, and brightening it a little. A method
sits out the sizes for which it would need more than two minutes, judged by its last two sizes, or 12 GB.
"""
from pathlib import Path

import numpy as np

REAL = [5_000, 10_000, 20_000, 40_000, 70_000]
MADE = [150_000, 300_000, 1_000_000]


def moved(images, rng):
    "Each image moved by up to two pixels, in both directions, with parts of pixels."
    n = len(images)
    whole = rng.integers(-2, 2, (n, 2))
    part = rng.random((n, 2, 1, 1)).astype(np.float32)
    result = np.empty_like(images)
    for right in range(-2, 2):
        for down in range(-2, 2):
            chosen = np.flatnonzero((whole == (right, down)).all(axis=1))
            some = images[chosen].astype(np.float32)
            shifted = [np.roll(some, (down + y, right + x), axis=(1, 2)) for y in (0, 1) for x in (0, 1)]
            x, y = part[chosen, 0], part[chosen, 1]
            mixed = (1 - y) * ((1 - x) * shifted[0] + x * shifted[1]) + y * ((1 - x) * shifted[2] + x * shifted[3])
            result[chosen] = mixed.round().astype(np.uint8)
    return result


def some_images(folder, n):
    "The first n images: the real ones, and then as many as are wanted made from these."
    real = np.load(Path(folder) / 'shuffled.npy')
    rng = np.random.default_rng(0)
    parts = [real[:n]]
    for start in range(len(real), n, len(real)):
        parts.append(moved(real[:n - start], rng))
    return np.concatenate(parts)


def read_features(stopwatch, folder, n):
    "Read the features of n images, 70,000 at a time, and keep their points for the clusterers."
    import joblib
    folder = Path(folder)
    network, prepare = joblib.load(folder / 'model.joblib')
    images = some_images(folder, n)
    network.transform(images[:500])
    with stopwatch():
        points = []
        for start in range(0, n, 70_000):
            points.append(prepare.transform(network.transform(images[start:start + 70_000])))
    np.save(folder / 'grown.npy', np.concatenate(points))
    return dict(n=n)


def on_points(make):
    def fit(stopwatch, folder, n, eps):
        points = np.load(Path(folder) / 'grown.npy')[:n]
        if len(points) < n:
            raise ValueError('the features of so many images were not read')
        size = int(np.ceil(.005 * n))
        make(5, eps)(points[:300])
        with stopwatch():
            make(size, eps)(points)
        return dict(n=n)

    return fit


def kmeans(size, eps):
    from sklearn.cluster import KMeans
    return KMeans(10, n_init=4, random_state=0).fit


def auto_dbscan(size, eps):
    from mnist_clustering.dbscan import AutoDBSCAN
    return AutoDBSCAN(min_cluster_size=size).fit


def ward(size, eps):
    from mnist_clustering.agglomerative import Ward
    return Ward().fit


def sklearn_dbscan(size, eps):
    from sklearn.cluster import DBSCAN
    return DBSCAN(eps=eps, min_samples=size, n_jobs=-1).fit


def sklearn_hdbscan(size, eps):
    from sklearn.cluster import HDBSCAN
    return HDBSCAN(min_cluster_size=size, copy=True, n_jobs=-1).fit


def fast_hdbscan(size, eps):
    from fast_hdbscan import HDBSCAN
    return HDBSCAN(min_cluster_size=size).fit


def hdbscan(size, eps):
    from hdbscan import HDBSCAN
    return HDBSCAN(min_cluster_size=size, core_dist_n_jobs=-1).fit


def linkage_vector(size, eps):
    import fastcluster
    return lambda points: fastcluster.linkage_vector(points, method='ward')


def sklearn_ward(size, eps):
    from sklearn.cluster import AgglomerativeClustering
    return AgglomerativeClustering(10).fit


def neighbors(stopwatch, folder, n, eps):
    from mnist_clustering.distortion import distortion_neighbors
    images = some_images(folder, n)
    distortion_neighbors(images[:300])
    with stopwatch():
        found, distances = distortion_neighbors(images)
    np.savez(Path(folder) / 'neighbors.npz', neighbors=found, distances=distances)
    return dict(n=n)


def layout(stopwatch, folder, n, eps):
    "One map of the neighbours that the step before found for as many images."
    from sklearn.decomposition import PCA

    from mnist_clustering.shapes import umap_layout
    images = some_images(folder, n)
    with np.load(Path(folder) / 'neighbors.npz') as kept:
        found, distances = kept['neighbors'], kept['distances']
    if len(found) != n:
        raise ValueError('the neighbours of these images were not found')
    coarse = PCA(40, random_state=0).fit_transform(images.reshape(n, -1) / 255).astype(np.float32)
    umap_layout(found[:300] % 300, distances[:300], coarse[:300], 10, 0) # any neighbours will do: it compiles
    with stopwatch():
        umap_layout(found, distances, coarse, 10, 0)
    return dict(n=n)


METHODS = { # title: (environment, contender, up to how many images)
    'features, read': ('ours', lambda stopwatch, folder, n, eps: read_features(stopwatch, folder, n), 1_000_000),
    'KMeans, told 10': ('ours', on_points(kmeans), 1_000_000),
    'AutoDBSCAN (ours), finds its eps': ('ours', on_points(auto_dbscan), 1_000_000),
    'Ward (ours), finds its cut': ('ours', on_points(ward), 1_000_000),
    'neighbours by distortion': ('ours', neighbors, 1_000_000),
    'map, one layout': ('ours', layout, 1_000_000),
    'scikit-learn DBSCAN, told eps': ('ours', on_points(sklearn_dbscan), 70_000),
    'scikit-learn HDBSCAN': ('ours', on_points(sklearn_hdbscan), 70_000),
    'hdbscan': ('peers', on_points(hdbscan), 70_000),
    'fast_hdbscan': ('ours', on_points(fast_hdbscan), 70_000),
    'fastcluster linkage_vector': ('peers', on_points(linkage_vector), 70_000),
    'scikit-learn Ward, told 10': ('ours', on_points(sklearn_ward), 20_000),
}
CONTENDERS = {title: contender for title, (_, contender, _) in METHODS.items()}


def expected(rows, n):
    "Seconds for n images, judged by the last two sizes; 0 if they took no time to speak of."
    if len(rows) < 2 or rows[-1]['seconds'] < 5:
        return 0.
    before, last = rows[-2:]
    slope = np.log(last['seconds'] / before['seconds']) / np.log(last['n'] / before['n'])
    return last['seconds'] * (n / last['n']) ** max(slope, 1)


def run(bench):
    "All methods take turns at each size, so that a machine that slows down slows them all."
    rows = {title: [] for title in METHODS}
    stopped = {}
    sizes = [500, 1_000, 2_000] if bench.quick else REAL + MADE
    for n in sizes:
        for title, (where, _, largest) in METHODS.items():
            if title in stopped or n > largest:
                continue
            if title == 'map, one layout' and 'neighbours by distortion' in stopped:
                stopped[title] = f"its neighbours: {stopped['neighbours by distortion']}"
                continue
            seconds = expected(rows[title], n)
            if seconds > bench.limit:
                stopped[title] = f'{n:,} images would take about {seconds:.0f} s'
                continue
            row = bench.fit('sections.growth', title, where, folder=str(bench.data), n=n, eps=bench.eps)
            if 'stopped' in row:
                stopped[title] = f"{n:,} images: {row['stopped']}"
            else:
                rows[title].append(row)
    everything = [row for some in rows.values() for row in some]
    return dict(rows=everything, stopped=stopped)
