"""The limit: how fast this machine multiplies and copies, and which share of it each step of the main job reaches.

FLOP and bytes are counted by formula: what the step cannot do without. What it does besides (choosing neighbours,
scheduling, copies) is the rest of its time.
"""
from pathlib import Path
from time import perf_counter

import numpy as np


def best_of(work, repeats=5):
    "The least seconds of several runs."
    times = []
    for _ in range(repeats):
        start = perf_counter()
        work()
        times.append(perf_counter() - start)
    return min(times)


def rates(stopwatch, size):
    "GFLOP/s of matrix products, and GB/s of a copy (read and written)."
    from threadpoolctl import threadpool_info

    from mnist_clustering.cnn import load_tensorflow
    tf = load_tensorflow()
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, size, size)).astype(np.float32)
    work = 2 * size**3 / 1e9
    found = dict(size=size)
    with stopwatch():
        a @ b
        found['numpy float32'] = work / best_of(lambda: a @ b)
        product = tf.function(tf.matmul)
        for name in ('float32', 'bfloat16'):
            factors = tf.cast(a, name), tf.cast(b, name)
            product(*factors)
            found[f'TensorFlow {name}'] = work / best_of(lambda factors=factors: product(*factors).numpy())
        large = np.ones(size**2 * 16, np.float32)
        target = np.empty_like(large)
        np.copyto(target, large)
        found['copy'] = 2 * large.nbytes / 1e9 / best_of(lambda: np.copyto(target, large))
    found['float32'] = max(found['numpy float32'], found['TensorFlow float32'])
    found['bfloat16'] = max(found['float32'], found['TensorFlow bfloat16']) # nobody has to use it
    found['blas'] = [f"{one['internal_api']} {one.get('architecture')}" for one in threadpool_info()]
    return found


def network_flop(model):
    "FLOP of one image going forward: 2 for each multiplication with a weight."
    total = 0
    for layer in model.layers:
        shapes = [weight.shape for weight in layer.weights]
        if shapes and len(shapes[0]) == 4:
            height, width = layer.output.shape[1:3]
            total += 2 * height * width * int(np.prod(shapes[0]))
        elif shapes and len(shapes[0]) == 2:
            total += 2 * int(np.prod(shapes[0]))
    return total


def steps(stopwatch, folder, n):
    "Each step of the main job: its seconds, its FLOP and its bytes."
    import joblib
    from sklearn.cluster import KMeans

    from mnist_clustering import cnn
    from mnist_clustering.agglomerative import Ward
    from mnist_clustering.dbscan import AutoDBSCAN
    from mnist_clustering.deskew import deskew
    from mnist_clustering.features import CnnFeatures
    from mnist_clustering.prepare import NormalizedPCA
    folder = Path(folder)
    images, labels = np.load(folder / 'images.npy')[:n], np.load(folder / 'labels.npy')[:n]
    points = np.load(folder / 'points.npy')[:n]
    d, rows = points.shape[1], []

    def step(name, work, flop, n_bytes, formula, rate):
        seconds = best_of(work, 1)
        rows.append(dict(step=name, seconds=seconds, flop=flop, bytes=n_bytes, formula=formula, rate=rate))

    with stopwatch():
        deskew(images[:100])
        step('straighten', lambda: deskew(images), n * 784 * 24, n * 784 * 5,
             '784 pixels × (moments 12 + bilinear 12)', 'float32')

        n_train = n * 6 // 7
        flop = network_flop(cnn.fast_network())
        precision = cnn.best_precision('fast').removeprefix('mixed_')

        def train(epochs):
            CnnFeatures('fast', epochs=epochs, fresh=True).fit(images[:n_train], labels[:n_train])

        train(1)
        one, two = best_of(lambda: train(1), 1), best_of(lambda: train(2), 1)
        rows.append(dict(step='train, an epoch', seconds=two - one, flop=3 * flop * n_train,
                         bytes=n_train * 784 * 4 * 3, rate=precision,
                         formula='3 × forward: 2 for each weight and place'))
        network, _ = joblib.load(folder / 'model.joblib')
        network.transform(images[:500])
        step('read the features', lambda: network.transform(images), flop * n, n * (784 + 128) * 4,
             'forward: 2 for each weight and place', 'float32')
        features = network.transform(images)
        step('PCA', lambda: NormalizedPCA().fit(features).transform(features), 2 * n * 128 * (128 + d), n * 128 * 4 * 3,
             '2 n × 128 × (128 + d): covariance and projection', 'float32')
        kmeans = KMeans(10, n_init=1, random_state=0).fit(points)
        step('KMeans, one start', lambda: KMeans(10, n_init=1, random_state=0).fit(points),
             3 * n * d * 10 * (kmeans.n_iter_ + 1), n * d * 4 * (kmeans.n_iter_ + 1),
             '3 n d × 10 clusters × rounds', 'float32')
        AutoDBSCAN().fit(points[:1_000])
        least = int(np.ceil(.005 * n))
        step('DBSCAN', lambda: AutoDBSCAN().fit(points), 3 * n * d * least * 3, n * d * 8 * 3,
             '3 n d × min_samples, three times: core distances, denser neighbours, merges', 'float32')
        Ward().fit(points[:1_000])
        step('Ward', lambda: Ward().fit(points), 3 * 2 * n * d * 64, 2 * n * d * 8 * 2,
             '3 d × 64 clusters of its own block, for each of 2 n clusters', 'float32')
    return dict(steps=rows, n=n)


def label_free_steps(stopwatch, folder, n):
    "The two steps of the road without labels that take longest."
    from mnist_clustering.distortion import distortions, preprocess
    from mnist_clustering.shapes import DistortionMap
    images = np.load(Path(folder) / 'some.npy')[:n]
    rows = []
    with stopwatch():
        edge_maps = preprocess(images, True, .5)[0]
        queries = np.arange(len(images))[:, None]
        others = np.random.default_rng(0).integers(0, len(images), (len(images), 40))
        queries = np.broadcast_to(queries, others.shape)
        distortions(edge_maps, edge_maps, queries[:9], others[:9], 2)
        seconds = best_of(lambda: distortions(edge_maps, edge_maps, queries, others, 2), 2)
        rows.append(dict(step='distortion of pairs', seconds=seconds, flop=others.size * 784 * 25 * 10,
                         bytes=others.size * edge_maps[0].nbytes, rate='float32',
                         formula='784 pixels × 25 moves × (2 channels × 3 + 4): small integers, two to four a lane'))
        DistortionMap(seed=0, method='western_digits').fit(images[:300])
        model = DistortionMap(seed=0, fresh=True, method='western_digits')
        seconds = best_of(lambda: model.fit(images), 1)
        n_pairs = len(images) * 178
        rows.append(dict(step='distortion map, whole', seconds=seconds, flop=n_pairs * 784 * 25 * 10,
                         bytes=n_pairs * edge_maps[0].nbytes, rate='float32',
                         formula='178 pairs an image, as measured on MNIST; the layout is not counted'))
    return dict(steps=rows, n=n)


REST = { # where the rest of the time goes: what the count leaves out
    'straighten': 'single pixels read where the slant leads, without vectors, on one core',
    'train, an epoch': 'warps, normalisation and the optimizer read and write memory; one colour fills no vector',
    'read the features': 'few channels in the first layers; pixels made upright and turned into floats',
    'PCA': 'rows scaled to length 1, checks for NaN, the decomposition itself',
    'KMeans, one start': 'nine numbers a point: the nearest centre is chosen more slowly than it is measured',
    'DBSCAN': 'two thirds: distances beyond the ones that count, and choosing the k-th of them; the rest: merges',
    'Ward': 'blocks that might hold the nearest cluster, and rounds with few clusters left',
    'distortion of pairs': 'the least of 25 moves for each pixel',
    'distortion map, whole': 'candidates, sorting, and the layout by UMAP on one core',
}
CONTENDERS = {'rates': rates, 'steps': steps, 'steps without labels': label_free_steps}


def run(bench):
    "The rates, then the steps."
    found = bench.fit('sections.limit', 'rates', size=256 if bench.quick else 2048,
                      unset=['OPENBLAS_CORETYPE', 'OPENBLAS_L2_SIZE'])
    n = 1_000 if bench.quick else 70_000
    both = [
        bench.fit('sections.limit', 'steps', folder=str(bench.data), n=n, limit=300),
        bench.fit('sections.limit', 'steps without labels', folder=str(bench.data), n=min(n, 10_000), limit=300)]
    rows = []
    for one in both:
        for row in one.get('steps', []):
            gflops = row['flop'] / row['seconds'] / 1e9
            peak = min(found[row['rate']], found['copy'] * row['flop'] / row['bytes'])
            rows.append(row | dict(n=one['n'], gflops=gflops, share=gflops / peak,
                                   bound='memory' if peak < found[row['rate']] else 'arithmetic',
                                   rest=REST[row['step']]))
    return dict(rates=found, steps=rows, stopped=[one['stopped'] for one in both if 'stopped' in one])
