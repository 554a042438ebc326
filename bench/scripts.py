"""Images of any script: how many clusters are found, how good they are, and what others make of the same pixels.

    python bench/scripts.py --data FOLDER… [--out bench/scripts.csv] [--seeds 5] [--peers PYTHON] [--fresh]

Each folder holds .npz files with `images` (n, 28, 28) uint8 and `labels`. MNIST, the digits of scikit-learn and letters
in the typefaces of matplotlib are always added, and images that have no classes: noise, one digit warped, one letter
turned, one class of MNIST. These are made anew for each seed. The number of classes of a set is k.

A row is a method on a set with a seed. What is written already is not done again; --fresh does all but the peers again.
- "ours" is `DistortionMap()`. In the rows below it k is told, and its map is cut: by Ward's tree, as the commands do
  when a person gives a number, or by KMeans. The contenders for the count work on the same map, or the same graph.
  Their seconds are those after the map (containment: after the neighbours). Our own are those of everything, with an
  empty cache; there are none for the 70,000 images of MNIST, where the cache is used. Containment is slow where there
  are many components, and has one seed, as all contenders but Ward have on the 70,000.
- The peers are in script_peers.py. Spectral clustering, X-means, dip-means and the silhouette on pixels are slow, and
  have one seed; on more than 10,000 images the other peers have one seed as well, and these four are left out. What
  takes more than 180 seconds is stopped, and the row says so. Seconds are without starting and compiling.

accuracy: one cluster for a label, one label for a cluster. accuracy_k_told: the same where k is told; in the row of
"ours" it is that of Ward. purity: of what is in clusters. names_95: how many clusters a person has to name until 95 %
of all images have the right name, over k; inf if that never comes. true_pairs_10: of all pairs of clusters with the
same label, the share among the first ten suggestions. warned: whether the method said that it is in doubt.
"""
import argparse
import os
import warnings
from contextlib import contextmanager, nullcontext
from itertools import combinations
from pathlib import Path
from string import ascii_uppercase
from tempfile import TemporaryDirectory
from time import perf_counter

import matplotlib
import numpy as np
import pandas as pd
import script_peers
from PIL import Image, ImageDraw, ImageFont
from results import HERE, Bench
from scipy.ndimage import gaussian_filter, rotate
from sklearn.datasets import load_digits
from sklearn.metrics import adjusted_rand_score

from mnist_clustering import cnn
from mnist_clustering.agglomerative import Ward, cut_tree
from mnist_clustering.communities import RESOLUTIONS, closest_pairs, louvain, neighbor_graph
from mnist_clustering.data import SIZE, as_pixels, load_mnist
from mnist_clustering.dbscan import AutoDBSCAN, make_hdbscan
from mnist_clustering.evaluation import contingency, score
from mnist_clustering.images import load_images
from mnist_clustering.kmeans import best_n_clusters, elbow, fit_kmeans
from mnist_clustering.shapes import DistortionMap

LIMIT = 180 # seconds for a peer
MANY = 10_000 # with more images, the cache is used
TEN = ['MNIST', 'usps', 'semeion', 'kannada', 'load_digits', 'latin', 'greek', 'korean', 'early_aramaic', 'balinese']


# The sets

def draw(file, character):
    "A character of a typeface, black on 28x28 as white on black."
    page = Image.new('L', (4 * SIZE, 4 * SIZE))
    font = ImageFont.truetype(str(file), 60)
    ImageDraw.Draw(page).text((2 * SIZE, 2 * SIZE), character, fill=255, font=font, anchor='mm')
    return np.asarray(page.resize((SIZE, SIZE), Image.Resampling.BOX))


def typefaces():
    wanted = ('DejaVuSa', 'DejaVuSe', 'STIXGeneral', 'cmb', 'cmr', 'cms', 'cmt')
    files = sorted(Path(matplotlib.get_data_path(), 'fonts/ttf').glob('*.ttf'))
    return [file for file in files if file.stem.startswith(wanted) and not file.stem.endswith(('Display', 'sy10'))]


def warp(images):
    "Each image turned, slanted, stretched and moved a little."
    return as_bytes(cnn.warp(as_pixels(images), np.array([0, 0])).numpy()[..., 0])


def as_bytes(pixels):
    "Pixels from 0 to 1 as whole numbers up to 255."
    return np.rint(255 * np.clip(pixels, 0, 1)).astype(np.uint8)


def letters_of_typefaces():
    "Capital letters, five of each typeface, as in 08_shapes."
    files = typefaces()
    letters = np.stack([draw(file, character) for file in files for character in ascii_uppercase])
    return warp(np.repeat(letters, 5, axis=0)), np.repeat(np.tile(np.arange(26), len(files)), 5)


def digits_of_sklearn():
    found = load_digits()
    return load_images(found.images).images, found.target


def uniform_noise(seed):
    return np.random.default_rng(seed).integers(0, 256, (500, SIZE, SIZE), np.uint8)


def blurred_noise(seed):
    blurred = gaussian_filter(uniform_noise(seed) / 255, (0, 2, 2))
    low, high = np.quantile(blurred, [.02, .98])
    return as_bytes((blurred - low) / (high - low))


def one_digit_warped(seed):
    return warp(np.repeat(load_mnist()[0].images[seed:seed + 1], 500, axis=0))


def one_letter_turned(seed):
    letter = draw(typefaces()[0], 'RGF45'[seed % 5]).astype(np.float32) / 255
    return as_bytes(np.stack([rotate(letter, angle, reshape=False, order=1) for angle in np.arange(500) * .72]))


def one_class(seed):
    test = load_mnist()[1]
    return test.images[test.labels == seed % 10]


def few_digits():
    test = load_mnist()[1]
    return test.images, test.labels


def all_digits():
    train, test = load_mnist()
    return (train + test).images, (train + test).labels


def read(file):
    with np.load(file) as arrays:
        return arrays['images'], arrays['labels']


def without_classes(make):
    def made(seed):
        images = make(seed)
        return images, np.zeros(len(images), int)

    return made


def all_sets(folders):
    "A function of the seed for each set, that gives its images and labels; the large ones come last."
    sets = {f'no classes: {make.__name__.replace("_", " ")}': without_classes(make)
            for make in (uniform_noise, blurred_noise, one_digit_warped, one_letter_turned, one_class)}
    sets |= {'load_digits': lambda seed: digits_of_sklearn(), 'typefaces': lambda seed: letters_of_typefaces()}
    files = [file for folder in folders for file in folder.glob('*.npz')]
    for file in sorted(files, key=lambda file: (file.stat().st_size, file)):
        sets[file.stem] = lambda seed, file=file: read(file)
    return sets | {'MNIST test': lambda seed: few_digits(), 'MNIST': lambda seed: all_digits()}


# What is measured

def names_needed(labels, clusters):
    "How many clusters have to be named until 95 % of all images are right, the largest gain first; inf if never."
    gains = np.sort(contingency(labels, clusters).max())[::-1].cumsum()
    enough = np.flatnonzero(gains >= .95 * len(labels))
    return enough[0] + 1 if len(enough) else np.inf


def true_pairs(labels, clusters, graph):
    "The share of the pairs of clusters with the same label that is among the first ten suggestions; NaN without any."
    majority = contingency(labels, clusters).idxmax()
    true = {pair for pair in combinations(majority.index, 2) if majority[pair[0]] == majority[pair[1]]}
    if not true:
        return np.nan
    inside = clusters >= 0
    first = closest_pairs(graph[inside][:, inside], clusters[inside]).head(10)
    return len(true & set(zip(first['cluster'], first['other']))) / len(true)


def measure(labels, clusters, graph=None):
    "The scores of a clustering."
    clusters = np.asarray(clusters, np.int64)
    inside = clusters >= 0
    row = dict(k_found=len(np.unique(clusters[inside])), coverage=inside.mean())
    if len(np.unique(labels)) == 1:
        return row
    if not inside.any():
        return row | dict(accuracy=0., names_95=np.inf)
    scores = score(labels, clusters)
    row |= {name: scores[name] for name in ('accuracy', 'nmi', 'purity')}
    row['names_95'] = names_needed(labels, clusters) / len(np.unique(labels))
    if graph is not None:
        row['true_pairs_10'] = true_pairs(labels, clusters, graph)
    return row


@contextmanager
def empty_cache():
    "The cache is an empty folder."
    before = os.environ.get('MNIST_CLUSTERING_CACHE')
    with TemporaryDirectory() as folder:
        os.environ['MNIST_CLUSTERING_CACHE'] = folder
        yield
    del os.environ['MNIST_CLUSTERING_CACHE']
    if before is not None:
        os.environ['MNIST_CLUSTERING_CACHE'] = before


def timed(work):
    "What work() gives, how long it took, and whether it warned."
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('ignore')
        warnings.simplefilter('always', UserWarning)
        start = perf_counter()
        found = work()
        seconds = perf_counter() - start
    return found, dict(seconds=seconds, warned=any(warning.category is UserWarning for warning in caught))


# Ours, and the contenders for the count

def finest_by_rand(graph, seed):
    "The finest communities whose Rand index with those of random 80 % is within .03 of the best, and that index."
    n = graph.shape[0]
    rng = np.random.default_rng(seed)
    parts = [np.sort(rng.permutation(n)[:4 * n // 5]) for _ in range(4)]
    clusterings, stabilities = [], []
    for resolution in RESOLUTIONS:
        whole = louvain(graph, resolution, seed)
        indices = [adjusted_rand_score(whole[part], louvain(graph[part][:, part], resolution, seed)) for part in parts]
        if 1 < whole.max() + 1 < n / 2:
            clusterings.append(whole)
            stabilities.append(np.mean(indices))
    last = np.flatnonzero(np.array(stabilities) >= max(stabilities) - .03)[-1]
    return clusterings[last], stabilities[last]


def ours(images, labels, seed):
    "A row for each of our own methods; those that are told k only where there are classes."
    n, k = len(labels), len(np.unique(labels))
    few = n <= MANY
    with empty_cache() if few else nullcontext():
        model, about = timed(lambda: DistortionMap(seed=seed).fit(images))
        if seed == 0:
            western, western_about = timed(lambda: DistortionMap(method='western_digits').fit(images))
    points, graph = model.embedding_, neighbor_graph(model.neighbors_, model.distances_)
    ward, ward_about = timed(lambda: Ward().fit(points))
    rows = {'ours': measure(labels, model.labels_, graph) | about | dict(stability=model.stability_)}
    if seed == 0:
        rows['containment'] = measure(labels, western.labels_, graph) | western_about
    if not few:
        for row in rows.values():
            row['seconds'] = np.nan
    if k > 1:
        by_ward = measure(labels, cut_tree(ward.linkage_, k), graph)
        by_kmeans, kmeans_about = timed(lambda: fit_kmeans(points, k, 10, seed).labels_)
        by_kmeans = measure(labels, by_kmeans, graph)
        rows['ours']['accuracy_k_told'] = by_ward['accuracy']
        rows['ours, k told: Ward'] = by_ward | dict(accuracy_k_told=by_ward['accuracy'], seconds=ward_about['seconds'])
        rows['ours, k told: KMeans'] = by_kmeans | dict(accuracy_k_told=by_kmeans['accuracy'],
                                                        seconds=kmeans_about['seconds'])
    rows["Ward's largest gap"] = measure(labels, ward.labels_, graph) | ward_about
    if not few and seed > 0:
        return rows

    def silhouette():
        return fit_kmeans(points, best_n_clusters(elbow(points, range(2, 51), seed)), 4, seed).labels_

    contenders = {
        'HDBSCAN on the map': lambda: make_hdbscan(n).fit_predict(points),
        'AutoDBSCAN on the map': lambda: AutoDBSCAN().fit(points).labels_,
        'silhouette on the map': silhouette}
    for method, work in contenders.items():
        clusters, about = timed(work)
        rows[method] = measure(labels, clusters, graph) | about
    (clusters, stability), about = timed(lambda: finest_by_rand(graph, seed))
    rows['Louvain, Rand index'] = measure(labels, clusters, graph) | about | dict(stability=stability)
    return rows


OURS = ['ours', 'ours, k told: Ward', 'ours, k told: KMeans', 'containment', "Ward's largest gap",
        'HDBSCAN on the map', 'AutoDBSCAN on the map', 'silhouette on the map', 'Louvain, Rand index']


def peer(bench, method, drawn):
    "A row of a peer for each seed: its scores, or why it was stopped; `drawn` are the images and labels of each seed."
    k = len(np.unique(drawn[0][1]))
    with TemporaryDirectory() as folder:
        for seed, (images, _) in enumerate(drawn):
            pixels = images.reshape(len(images), -1).astype(np.float32) / 255
            np.save(Path(folder) / f'pixels_{seed}.npy', pixels)
        found = bench.fit('script_peers', method, 'peers', len(drawn) * LIMIT, folder=folder, k=k, seeds=len(drawn))
    if 'stopped' in found:
        print(f'  {method}: {found["stopped"]}', flush=True)
        return [dict(stopped='time' if found['stopped'].startswith('stopped after') else 'error')] * len(drawn)
    rows, start = [], 0
    for (_, labels), seconds in zip(drawn, found['seconds_of_each']):
        row = measure(labels, found['labels'][start:start + len(labels)]) | dict(seconds=seconds)
        if method in TOLD:
            row['accuracy_k_told'] = row['accuracy']
        rows.append(row)
        start += len(labels)
    return rows


TOLD = [method for method in script_peers.METHODS if method.endswith('k told')]


# The table

COLUMNS = ['set', 'n', 'k', 'method', 'seed', 'k_found', 'warned', 'coverage', 'accuracy', 'nmi', 'purity',
           'accuracy_k_told', 'names_95', 'true_pairs_10', 'stability', 'seconds', 'stopped']


class Table:
    "The rows so far, kept in a file after each step."

    def __init__(self, file, fresh):
        self.file = file
        self.rows = pd.read_csv(file).to_dict('records') if file.exists() else []
        if fresh:
            self.rows = [row for row in self.rows if row['method'] not in OURS]

    def has(self, name, method, seed):
        return any((row['set'], row['method'], row['seed']) == (name, method, seed) for row in self.rows)

    def add(self, name, labels, seed, found):
        about = dict(set=name, n=len(labels), k=len(np.unique(labels)), seed=seed)
        self.rows += [about | dict(method=method) | row for method, row in found.items()]
        beside = self.file.with_name(self.file.name + '.new')
        pd.DataFrame(self.rows, columns=COLUMNS).to_csv(beside, index=False, float_format='%.5g')
        beside.replace(self.file)


def summarize(table):
    "Print what the rows say: the mean of each method, and for each set what counts."
    table = table[table.stopped.isna()].copy()
    table['set'] = table.set.str.removeprefix('omniglot_').str.removeprefix('no classes: ')
    methods = [method for method in [*OURS, *script_peers.METHODS] if method in set(table.method)]
    classes = table[table.k > 1].copy()
    off = np.abs(np.log(classes.k_found.clip(lower=1) / classes.k))
    classes['off'] = off.where(~classes.method.str.contains('told'))
    measured = ['off', 'accuracy', 'nmi', 'purity', 'accuracy_k_told', 'names_95', 'true_pairs_10']
    by_set = classes[classes.set.isin(TEN)].groupby(['method', 'set'])
    per_set = by_set[measured].mean().assign(names_95=by_set.names_95.median())
    means = per_set.groupby('method').mean()
    means.insert(0, 'sets', per_set.groupby('method').size())
    means['farthest'] = per_set.off.groupby('method').max()
    never = np.isinf(per_set.names_95)
    means['names_95'] = per_set.names_95.mask(never).groupby('method').mean()
    means['sets never 95 %'] = never.groupby('method').sum()
    means['s at 10,000'] = table[table.n.between(9_000, MANY)].groupby('method').seconds.mean()
    print(f'\nThe mean of {len(TEN)} sets, or of as many as there are. off: |log(k found / k)|, farthest: the largest'
          ' of a set,\nnames_95: the medians of the sets that reach 95 %')
    print_table(means, methods)
    for name in ['k_found', *measured[1:], 'seconds']:
        how = 'median' if name == 'names_95' else 'mean'
        print(f'\n{name}, the {how} of the seeds')
        print_table(classes.pivot_table(name, 'method', 'set', how, dropna=False, sort=False), methods)
    nothing = table[table.k == 1]
    print('\nno classes: k found, seed by seed')
    print_table(nothing.pivot_table('k_found', 'method', 'set', in_a_row), methods)
    print('\nno classes: how often it warned')
    own = nothing[nothing.method.isin(OURS)].astype({'warned': float})
    print_table(own.pivot_table('warned', 'method', 'set', 'sum'), methods)


def in_a_row(counts):
    return ' '.join(f'{k:g}' for k in counts)


def print_table(wide, methods):
    "Print what there is of each method, in their order."
    print(wide.reindex(methods).dropna(how='all').to_string(float_format='{:.3g}'.format, na_rep=''))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', type=Path, nargs='+', required=True, help='folders of .npz files')
    parser.add_argument('--out', type=Path, default=HERE / 'scripts.csv', help='where to write')
    parser.add_argument('--seeds', type=int, default=5, help='how many')
    parser.add_argument('--peers', type=Path, default=HERE.parent / '.venv-bench/bin/python',
                        help='the Python that has the other libraries')
    parser.add_argument('--fresh', action='store_true', help='do ours again; the rows of the peers are kept')
    asked = parser.parse_args()
    table = Table(asked.out, asked.fresh)
    bench = Bench(asked.out.with_suffix('.json'), asked.peers)
    sets = all_sets(asked.data)
    train, _ = load_mnist()
    ours(train.images[:300], train.labels[:300], 0) # numba compiles
    steps = [(name, seed) for seed in range(asked.seeds) for name in sets]
    for i, (name, seed) in enumerate(steps):
        if table.has(name, 'ours', seed):
            continue
        start = perf_counter()
        images, labels = sets[name](seed)
        table.add(name, labels, seed, ours(images, labels, seed))
        print(f'[scripts] {i + 1} of {len(steps)}: {name}, seed {seed}: {perf_counter() - start:.0f} s', flush=True)
    for i, (name, make) in enumerate(sets.items()):
        images, labels = make(0)
        print(f'[scripts] peers, {i + 1} of {len(sets)}: {name}', flush=True)
        for method, (_, n_seeds, most) in script_peers.METHODS.items():
            n_seeds = min(n_seeds, asked.seeds) if len(labels) <= MANY else 1
            left_out = len(labels) > most or method in TOLD and not labels.any()
            if left_out or all(table.has(name, method, seed) for seed in range(n_seeds)):
                continue
            drawn = [make(seed) for seed in range(n_seeds)]
            for seed, row in enumerate(peer(bench, method, drawn)):
                if not table.has(name, method, seed):
                    table.add(name, drawn[seed][1], seed, {method: row})
    summarize(pd.read_csv(asked.out))


if __name__ == '__main__':
    main()
