"""What it costs to assign, and to fit, many images: bench/scale.csv.

    python bench/scale.py [--data FOLDER] [--only same fit ...]

Digits of MNIST, turned, slanted, stretched and moved a little, are written to FOLDER once: 7.8 GB for ten millions.
Each row is measured in a process of its own; `megabytes` is the most that it and all that it started used together.
"""
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
from numba import njit
from sklearn.metrics import pairwise_distances_argmin_min

from mnist_clustering.data import SIZE, load_mnist

HERE = Path(__file__).parent
BLOCK = 100_000


@njit(cache=True)
def move(images, which, turns, moved):
    "Each image at the places that its six numbers say (an affine map, bilinear)."
    middle = (SIZE - 1) / 2
    for n in range(len(which)):
        image = images[which[n]]
        a, b, c, d, right, down = turns[n]
        for i in range(SIZE):
            for j in range(SIZE):
                x = a * (j - middle) + b * (i - middle) + middle + right
                y = c * (j - middle) + d * (i - middle) + middle + down
                left, top = int(np.floor(x)), int(np.floor(y))
                value = 0.
                for k in range(2):
                    for m in range(2):
                        if 0 <= top + k < SIZE and 0 <= left + m < SIZE:
                            value += image[top + k, left + m] * (1 - abs(y - top - k)) * (1 - abs(x - left - m))
                moved[n, i, j] = np.uint8(value + .5)


def warped(images, n, seed):
    "A block of digits, each warped a little: images, and which of the given ones they come from."
    rng = np.random.default_rng(seed)
    which = rng.integers(0, len(images), n)
    angle, slant = rng.uniform(-.1, .1, n), rng.uniform(-.06, .06, n)
    width, height = 1 + rng.uniform(-.06, .06, (2, n))
    right, down = rng.uniform(-1.2, 1.2, (2, n))
    turns = np.column_stack([np.cos(angle) * width, (slant - np.sin(angle)) * height, np.sin(angle) * width,
                             np.cos(angle) * height, right, down])
    moved = np.empty((n, SIZE, SIZE), np.uint8)
    move(images, which, turns, moved)
    return moved, which


def make_data(folder, n):
    "An array of n warped digits of the test set and the training set, and their labels; made once."
    file, labels = folder / f'{n}.npy', folder / f'{n}-labels.npy'
    if labels.exists():
        return file, labels
    train, test = load_mnist()
    both = train + test
    array = np.lib.format.open_memmap(file, 'w+', np.uint8, (n, SIZE, SIZE))
    known = np.empty(n, np.uint8)
    for block, first in enumerate(range(0, n, BLOCK)):
        rows = slice(first, min(first + BLOCK, n))
        array[rows], which = warped(both.images, rows.stop - first, block)
        known[rows] = both.labels[which]
    array.flush()
    np.save(labels, known)
    return file, labels


def make_model(folder, features):
    "A model fitted to the 60,000 training digits; made once."
    from mnist_clustering.model import ClusterModel
    place = folder / f'model-{features}'
    if not place.exists():
        train, _ = load_mnist()
        clusterer = 'kmeans' if features == 'cnn' else 'louvain'
        n_clusters = 10 if features == 'cnn' else 'auto'
        ClusterModel(features, clusterer, n_clusters).fit(train.images, train.labels).save(place)
    return place


# What is measured: each gives a row, or several

def of_test_set(n):
    "Which of the n warped digits come from the 10,000 test images, which the network has not seen."
    drawn = [np.random.default_rng(block).integers(0, 70_000, min(BLOCK, n - first))
             for block, first in enumerate(range(0, n, BLOCK))]
    return np.concatenate(drawn) >= 60_000


def assign_many(folder, features, n):
    "The plain loop over n images; after each twentieth: the rate since the last one, and the memory in use."
    from mnist_clustering.scale import assign
    source, labels = make_data(folder, n)
    model = make_model(folder, features)
    this, passed = psutil.Process(), [(0, time.perf_counter())]
    rows = []

    def tell(n_done, rate):
        if n >= 1_000_000 and n_done - passed[-1][0] >= n / 20: # of fewer, there are few parts
            before, then = passed[-1]
            now, memory = time.perf_counter(), this.memory_info()
            rows.append(dict(n=n, what='on the way', done=n_done, per_second=(n_done - before) / (now - then),
                             megabytes_then=(memory.rss - memory.shared) / 1e6))
            passed.append((n_done, now))

    with tempfile.TemporaryDirectory(dir=folder) as out:
        start, cpu = time.perf_counter(), time.process_time()
        about = assign(model, source, Path(out) / 'out', True, tell)
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        names = pd.read_parquet(Path(out) / 'out/labels', columns=['name'])['name']
        written = sum(file.stat().st_size for file in Path(out).rglob('*.parquet'))
    is_right, unseen = (names == np.load(labels).astype(str)).to_numpy(), of_test_set(n)
    of_none = float((names == 'none of these').mean())
    n_clusters = sum(cluster['cluster'] >= 0 for cluster in about['clusters'])
    return [dict(n=n, what='all', seconds=seconds, per_second=n / seconds, cpu_per_million=1e6 / n * cpu,
                 right=float(is_right[unseen].mean()), right_of_seen=float(is_right[~unseen].mean()), none=of_none,
                 clusters=n_clusters, bytes_written=written / n), *rows]


def assign_files(folder, n):
    "Assign a folder of PNG files, dark on light, four times as large as in MNIST."
    from PIL import Image

    from mnist_clustering.scale import assign
    scans = folder / f'{n}-files'
    source, _ = make_data(folder, n)
    model = make_model(folder, 'cnn')
    if not scans.exists():
        scans.mkdir()
        for i, image in enumerate(np.load(source, mmap_mode='r')):
            Image.fromarray(255 - image).resize((4 * SIZE, 4 * SIZE)).save(scans / f'{i}.png')
    with tempfile.TemporaryDirectory(dir=folder) as place:
        about = assign(model, scans, Path(place) / 'out')
    return dict(seconds=about['seconds'], per_second=about['per_second'])


def same(folder):
    "The 70,000 in memory, in parts, and on Spark in one part and in 64: how many are in another cluster."
    import pyarrow as pa
    import pyarrow.parquet as pq

    from mnist_clustering import scale
    from mnist_clustering.model import ClusterModel
    train, test = load_mnist()
    images = np.concatenate([train.images, test.images])
    rows = []
    for features in ('cnn', 'distortion'):
        model = make_model(folder, features)
        in_memory = ClusterModel.load(model).assess(images)['cluster'].to_numpy()
        with tempfile.TemporaryDirectory(dir=folder) as place:
            place = Path(place)
            np.save(place / 'a.npy', images)
            scale.assign(model, place / 'a.npy', place / 'out', True)
            found = {'out of core': pd.read_parquet(place / 'out/labels')}
            spark = scale.spark_session('local[2]')
            for n_parts in (1, 64):
                scale.N_IMAGES = -(-len(images) // n_parts)
                column = pa.array([image.tobytes() for image in images], pa.binary(SIZE**2))
                pq.write_table(pa.table(dict(pixels=column)), place / 'a.parquet', row_group_size=scale.N_IMAGES)
                scale.assign_on_spark(spark, model, place / 'a.parquet', str(place / f'spark{n_parts}'), True)
                found[f'Spark, {n_parts} partitions'] = pd.read_parquet(place / f'spark{n_parts}')
            spark.stop()
        for what, table in found.items():
            order = table['file'].str.removeprefix('row ').astype(int).argsort()
            clusters = table['cluster'].to_numpy(int)[order]
            which = np.flatnonzero(clusters != in_memory)
            kind = 'network' if features == 'cnn' else features
            rows.append(dict(what=f'{what}, by {kind}', others=len(which), which=' '.join(map(str, which))))
    return rows


def spark_rate(folder, n):
    "Spark on two cores against the plain loop, on the same table."
    import pyarrow as pa
    import pyarrow.parquet as pq

    from mnist_clustering import scale
    source, _ = make_data(folder, n)
    model, table = make_model(folder, 'cnn'), folder / f'{n}.parquet'
    if not table.exists():
        array = np.load(source, mmap_mode='r')
        with pq.ParquetWriter(table, pa.schema([('pixels', pa.binary(SIZE**2))])) as writer:
            for first in range(0, n, scale.N_IMAGES):
                images = array[first:first + scale.N_IMAGES]
                column = pa.array([image.tobytes() for image in images], pa.binary(SIZE**2))
                writer.write_table(pa.table(dict(pixels=column)), row_group_size=scale.N_IMAGES)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        start = time.perf_counter()
        n_parts = len(list(scale.find_parts(table, True)))
        found = time.perf_counter() - start
        start = time.perf_counter()
        scale.assign(model, table, Path(place) / 'plain', True)
        plain = time.perf_counter() - start
        start = time.perf_counter()
        spark = scale.spark_session('local[2]')
        started = time.perf_counter() - start
        start = time.perf_counter()
        scale.assign_on_spark(spark, model, table, str(Path(place) / 'spark'), True)
        by_spark = time.perf_counter() - start
        start = time.perf_counter()
        spark.range(0, 3000, 1, 3000).count() # without Python, whose time is the worker's
        empty = time.perf_counter() - start
        spark.stop()
    return [dict(n=n, what='Spark', seconds=by_spark, per_second=n / by_spark, ratio=plain / by_spark),
            dict(n=n, what='plain loop', seconds=plain, per_second=n / plain),
            dict(n=n, what='start of Spark', seconds=started),
            dict(n=n, what='a task that does nothing', seconds=empty / 3000),
            dict(n=n, what='to find a part', seconds=found / n_parts)]


def make_features(folder, n):
    "The 128 features by network of n images, and a table of them; made once."
    import pyarrow as pa
    import pyarrow.parquet as pq

    from mnist_clustering.model import ClusterModel
    from mnist_clustering.scale import N_IMAGES
    from mnist_clustering.store import uncached
    table = folder / f'{n}-features.parquet'
    if not table.exists():
        source, _ = make_data(folder, n)
        reader = ClusterModel.load(make_model(folder, 'cnn')).features_
        array, rows = np.load(source, mmap_mode='r'), np.empty((n, 128), np.float32)
        with uncached():
            for first in range(0, n, N_IMAGES):
                rows[first:first + N_IMAGES] = reader.transform(array[first:first + N_IMAGES])
        column = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), 128).cast(pa.list_(pa.float32()))
        pq.write_table(pa.table(dict(features=column)), table, row_group_size=50_000)
    column = pq.read_table(table)['features'].combine_chunks()
    return table, column.flatten().to_numpy().reshape(n, 128)


def inertia_of(centers, rows):
    "How far all rows are from the nearest centre, squared and added up."
    return sum(pairwise_distances_argmin_min(rows[first:first + BLOCK], centers, metric='sqeuclidean')[1].sum()
               for first in range(0, len(rows), BLOCK))


def kmeans_on_spark(folder, n):
    "KMeans on Spark against scikit-learn on n rows of 128 numbers."
    from sklearn.cluster import KMeans

    from mnist_clustering import scale
    table, rows = make_features(folder, n)
    spark = scale.spark_session('local[2]')
    start = time.perf_counter()
    model = scale.fit_on_spark(spark, str(table), 10)
    seconds = time.perf_counter() - start
    spark.stop()
    start = time.perf_counter()
    exact = KMeans(10, n_init=4, random_state=0).fit(rows)
    sklearn_seconds = time.perf_counter() - start
    ratio = inertia_of(model.clusterer_.cluster_centers_.astype(np.float32), rows) / exact.inertia_
    return dict(seconds=seconds, sklearn_seconds=sklearn_seconds, inertia_ratio=ratio)


def single_starts(folder, n):
    "What one start of k-means|| comes to, and one of k-means++ of scikit-learn: each with eight seeds."
    from pyspark.ml.clustering import KMeans as KMeansOfSpark
    from pyspark.ml.functions import array_to_vector
    from sklearn.cluster import KMeans

    from mnist_clustering import scale
    table, rows = make_features(folder, n)
    exact = KMeans(10, n_init=4, random_state=0).fit(rows).inertia_
    spark = scale.spark_session('local[2]')
    vectors = spark.read.parquet(str(table)).select(array_to_vector('features').alias('features')).persist()
    found = []
    for seed in range(8):
        by_spark = KMeansOfSpark(k=10, seed=seed, initMode='k-means||', maxIter=100).fit(vectors).summary.trainingCost
        found.append(dict(n=n, what='one start of k-means||', seed=seed, inertia_ratio=by_spark / exact))
        by_sklearn = KMeans(10, n_init=1, random_state=seed).fit(rows).inertia_
        found.append(dict(n=n, what='one start of k-means++', seed=seed, inertia_ratio=by_sklearn / exact))
    spark.stop()
    return found


def fits(folder):
    "What is lost by fitting to less: the 70,000 digits, of all and of a part, five seeds."
    from sklearn.frozen import FrozenEstimator

    from mnist_clustering.evaluation import score
    from mnist_clustering.model import ClusterModel
    from mnist_clustering.scale import fit_in_parts, stratified_sample
    train, test = load_mnist()
    images, labels = np.concatenate([train.images, test.images]), np.concatenate([train.labels, test.labels])
    rows = []

    def add(what, n, seed, model, exact):
        "How many of the 10,000 test images have the right name, and how many are where they are in the exact answer."
        found = model.labels_[60_000:] if model is exact else model.predict(test.images)
        right = np.mean([model.names_.get(cluster) == label for cluster, label in zip(found.tolist(), test.labels)])
        rows.append(dict(what=what, n=n, seed=seed, right=right, clusters=model.n_clusters_,
                         as_exact=score(exact.labels_[60_000:], found)['accuracy']))

    network = FrozenEstimator(ClusterModel.load(make_model(folder, 'cnn')).features_)
    for seed in range(5):
        exact = ClusterModel(network, 'kmeans', 10, seed).fit(images, labels)
        add('KMeans of all', len(images), seed, exact, exact)
        for n in (500, 5000):
            chosen = np.random.default_rng(seed).permutation(len(images))[:n]
            model = ClusterModel(network, 'kmeans', 10, seed).fit(images[chosen], labels[chosen])
            add('KMeans of a sample', n, seed, model, exact)
            fit_in_parts(model, images, labels[chosen])
            add('KMeans of a sample, then all pass by', n, seed, model, exact)
    for seed in range(5):
        exact = ClusterModel('distortion', 'louvain', seed=seed).fit(images, labels)
        add('distortion of all', len(images), seed, exact, exact)
        n = 10_000
        for how in ('random', 'stratified'):
            rng = np.random.default_rng(seed)
            chosen = stratified_sample(images, n, seed) if how == 'stratified' else rng.permutation(len(images))[:n]
            model = ClusterModel('distortion', 'louvain', seed=seed).fit(images[chosen], labels[chosen])
            add(f'distortion of a {how} sample', n, seed, model, exact)
    return rows


def steps(folder):
    "Seconds of processor time for each million images, step by step."
    from mnist_clustering.cnn import seventh_layer
    from mnist_clustering.data import Images
    from mnist_clustering.deskew import deskew
    from mnist_clustering.model import ClusterModel
    from mnist_clustering.scale import Part, assign_images, read_part
    from mnist_clustering.store import uncached
    n = 100_000
    source, _ = make_data(folder, n)
    network = ClusterModel.load(make_model(folder, 'cnn')).get_ready()
    by_shape = ClusterModel.load(make_model(folder, 'distortion')).get_ready()
    found, spent = {}, {}

    def read_images(part):
        images = next(read_part(part, True))[0]
        return images.images, images.names

    def step(name, work, n):
        before, start = time.process_time(), time.perf_counter()
        found[name] = work()
        spent[name] = dict(what=name, n=n, cpu_per_million=1e6 / n * (time.process_time() - before),
                           seconds_per_million=1e6 / n * (time.perf_counter() - start))

    images, names = read_images(Part('npy', str(source), '', [0, 20_000]))
    few = Images(images[:2000], None, names[:2000])
    weights, name = network.features_.weights_, network.features_.network
    with uncached():
        for _ in range(2): # the first time, something is compiled
            step('read', lambda: read_images(Part('npy', str(source), '', [0, 20_000])), 20_000)
            step('straighten', lambda: deskew(images), 20_000)
            step('straighten and network', lambda: seventh_layer(images, weights, name), 20_000)
            step('main directions', lambda: network.prepare_.transform(found['straighten and network']), 20_000)
            step('neighbours', lambda: network._nearest(found['main directions']), 20_000)
            step('all, by network', lambda: assign_images(network, Images(images, None, names)), 20_000)
            step('all, by distortion', lambda: assign_images(by_shape, few), 2000)
    start = time.perf_counter()
    program = ('import sys, numpy as np; from mnist_clustering.model import ClusterModel; '
               'ClusterModel.load(sys.argv[1]).assess(np.load(sys.argv[2], mmap_mode="r")[:1])')
    subprocess.run([sys.executable, '-c', program, make_model(folder, 'cnn'), source], check=True)
    return [*spent.values(), dict(what='start of a worker', n=1, seconds=time.perf_counter() - start)]


MEASURED = {
    'steps': (steps, [()]),
    'same': (same, [()]),
    'assign by network': (lambda folder, n: assign_many(folder, 'cnn', n), [(70_000,), (1_000_000,), (10_000_000,)]),
    'assign by distortion': (lambda folder, n: assign_many(folder, 'distortion', n), [(20_000,), (100_000,)]),
    'files': (assign_files, [(20_000,)]),
    'spark': (spark_rate, [(200_000,), (1_000_000,)]),
    'kmeans on spark': (kmeans_on_spark, [(100_000,), (1_000_000,)]),
    'starts': (single_starts, [(100_000,)]),
    'fit': (fits, [()])}


def watched(command):
    "Run a command; what it printed last, and the most memory that it and its children used, in MB."
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    most, process = 0, psutil.Process(child.pid)
    while child.poll() is None:
        used = 0
        try:
            for one in [process, *process.children(recursive=True)]:
                used += one.memory_info().rss - one.memory_info().shared
        except psutil.NoSuchProcess:
            continue
        most = max(most, used)
        time.sleep(.2)
    if child.returncode:
        raise SystemExit(f'{command} has failed')
    return child.stdout.read().strip().splitlines()[-1], most / 1e6


def main():
    import argparse
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, default=Path(tempfile.gettempdir()) / 'mnist-scale')
    parser.add_argument('--only', nargs='+', choices=MEASURED)
    parser.add_argument('--most', type=int, default=10_000_000, help='images')
    parser.add_argument('--child', nargs='+', help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.data.mkdir(exist_ok=True, parents=True)
    if options.child:
        name, *given = options.child
        print(json.dumps(MEASURED[name][0](options.data, *map(int, given))))
        return
    file = HERE / 'scale.csv'
    for name in options.only or MEASURED:
        for given in MEASURED[name][1]:
            if given and given[0] > options.most:
                continue
            if given:
                make_data(options.data, *given)
            command = [sys.executable, __file__, '--data', str(options.data), '--child', name, *map(str, given)]
            printed, megabytes = watched(command)
            found = json.loads(printed)
            rows = found if isinstance(found, list) else [dict(n=given[0], **found)]
            table = pd.DataFrame([dict(measured=name, **row, megabytes=megabytes) for row in rows])
            print(table.to_string(), flush=True)
            if file.exists():
                known = pd.read_csv(file)
                again = (known['measured'] == name) & (known['n'].isin(table['n']) if given else True)
                table = pd.concat([known[~again], table], ignore_index=True)
            table.to_csv(file, index=False, float_format='%.6g')


if __name__ == '__main__':
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    main()
