"""The original's recipe, written again from its description, against the main job of this project.

The original trains the eight layers of the Keras example mnist_cnn for 15 epochs (batches of 1,280, Adadelta at 1.0),
reads the 128 numbers of one image at a time, writes them as CSV files of 5,000 rows, reads these back, draws an elbow
for 1 to 14 clusters, runs KMeans and draws its pictures. That takes a quarter of an hour, so each step is measured on a
slice, which is stated, and multiplied.
"""
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np

EPOCHS, BATCH = 15, 1280


def original(stopwatch, folder, share):
    "The whole recipe in slices, each a share of its usual slice; the seconds are what the whole would take."
    import matplotlib
    matplotlib.use('Agg')
    import matplotlib.pyplot as plt
    import pandas as pd
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA

    from mnist_clustering.cnn import load_tensorflow
    tf = load_tensorflow()
    import keras

    images = np.load(Path(folder) / 'images.npy')
    labels = np.load(Path(folder) / 'labels.npy')
    pixels = (images[..., None] / 255).astype(np.float32)
    n_all, n_train = len(images), len(images) * 6 // 7
    steps, before = {}, perf_counter()

    def step(name, slice_of, factor):
        nonlocal before
        seconds = perf_counter() - before
        steps[name] = dict(slice=slice_of, measured=seconds, seconds=seconds * factor)
        before = perf_counter()

    layers = keras.layers
    model = keras.Sequential([
        keras.Input((28, 28, 1)), layers.Conv2D(32, 3, activation='relu'), layers.Conv2D(64, 3, activation='relu'),
        layers.MaxPooling2D(), layers.Dropout(.25), layers.Flatten(), layers.Dense(128, activation='relu'),
        layers.Dropout(.5), layers.Dense(10, activation='softmax')])
    model.compile(optimizer=keras.optimizers.Adadelta(learning_rate=1.), loss='categorical_crossentropy')
    targets = np.eye(10, dtype=np.float32)[labels]
    model.fit(pixels[:BATCH], targets[:BATCH], batch_size=BATCH, verbose=0) # compiles
    before = perf_counter()
    with stopwatch():
        n_slice = BATCH * max(1, int(16 * share))
        model.fit(pixels[:n_slice], targets[:n_slice], batch_size=BATCH, verbose=0)
        step('training', f'{n_slice:,} images, once', EPOCHS * n_train / n_slice)

        seventh = keras.Model(model.inputs[0], model.layers[-2].output)
        read = tf.function(lambda some: seventh(some, training=False))
        read(tf.constant(pixels[:1]))
        before = perf_counter()
        n_single = min(n_all, int(2_000 * share))
        for i in range(n_single):
            read(tf.constant(pixels[i:i + 1])).numpy()
        step('features, one image at a time', f'{n_single:,} images', n_all / n_single)

        n_rows = min(n_all, int(10_000 * share)) // 500 * 500
        features = np.concatenate([read(tf.constant(pixels[i:i + 500])).numpy() for i in range(0, n_rows, 500)])
        before = perf_counter()
        with TemporaryDirectory() as files:
            file = Path(files) / 'features.csv'
            pd.DataFrame(features[:5_000]).to_csv(file)
            step('CSV written', f'{min(n_rows, 5_000):,} rows', n_all / min(n_rows, 5_000))
            pd.read_csv(file)
            step('CSV read', f'{min(n_rows, 5_000):,} rows', n_all / min(n_rows, 5_000))

        for k in range(1, 15):
            KMeans(k, n_init=1, random_state=0).fit(features)
        step('elbow', f'{n_rows:,} images, 1 of 10 starts', 10 * n_all / n_rows)
        clusters = KMeans(10, n_init=10, random_state=0).fit_predict(features)
        step('KMeans', f'{n_rows:,} images', n_all / n_rows)

        plt.scatter(*PCA(2).fit_transform(features).T, c=clusters, s=1)
        plt.savefig(Path(folder) / 'original.png')
        plt.close()
        step('map', f'{n_rows:,} images', n_all / n_rows)
        figure, axes = plt.subplots(10, 10, figsize=(10, 10))
        for ax, image in zip(axes.flat, images):
            ax.imshow(image, cmap='gray')
            ax.axis('off')
        figure.savefig(Path(folder) / 'original.png')
        step('grids', '1 of 10 clusters', 10)
    total = sum(step['seconds'] for step in steps.values())
    return dict(steps=steps, whole=total)


def main_job(stopwatch, network, n):
    "The command, whole, with an empty cache; TensorFlow and numba have been loaded once before."
    command = Path(sys.executable).parent / 'mnist_cluster'
    words = [command, '--features', 'cnn', '--network', network, '--clusterer', 'kmeans', '--n_clusters', 'auto',
             '--limit', str(n), '--fresh']
    out = Path(TemporaryDirectory().name)
    with stopwatch():
        ended = subprocess.run([*words, '--out', out], capture_output=True, text=True)
    if ended.returncode:
        raise RuntimeError(ended.stderr)
    shutil.rmtree(out)
    stopwatch.found['mb'] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024 # the largest process, whole
    return dict(whole=stopwatch.found['seconds'])


CONTENDERS = {
    "the original's recipe, in slices": original,
    'mnist_cluster --network fast': lambda stopwatch, n, **others: main_job(stopwatch, 'fast', n),
    'mnist_cluster --network simple': lambda stopwatch, n, **others: main_job(stopwatch, 'simple', n),
}


def run(bench):
    "The original and the main job by turns."
    module = 'sections.original'
    n = 3_500 if bench.quick else 70_000
    common = dict(folder=str(bench.data), limit=600)
    turns = []
    names = list(CONTENDERS)
    for _ in range(1 if bench.quick else 3):
        turns.append([
            bench.fit(module, names[0], share=.5 if bench.quick else 1, **common),
            bench.fit(module, names[1], n=n, **common)])
    rows = [bench.combine([turn[which] for turn in turns]) for which in range(2)]
    if not bench.quick:
        rows.append(bench.combine([bench.fit(module, names[2], n=n, **common)]))
    for row, which in zip(rows, range(3)):
        if which < 2 and 'stopped' not in row:
            row['whole'] = float(np.median([turn[which]['whole'] for turn in turns]))
    ratios = {}
    for row in rows[1:]:
        if 'stopped' not in row and 'stopped' not in rows[0]:
            network = row['method'].split()[-1]
            ratios[f'original / main job, {network}'] = rows[0]['whole'] / row['whole']
    return dict(rows=rows, ratios=ratios, images=n)
