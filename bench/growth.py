"""How each step of the road without labels grows with the number of digits, one seed.

    python bench/growth.py [--out bench/growth.csv]

Nothing is taken from the cache. LabelFreeFeatures trains for eleven rounds (two thirds of the digits three times three,
then nearly all of them five). mb is what a step added at its peak to what was there before.
"""
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
from fastcore.script import call_parse
from tqdm import tqdm

from mnist_clustering.compare import costs
from mnist_clustering.data import load_mnist
from mnist_clustering.distortion import choose_softness, nn_descent, preprocess
from mnist_clustering.features import CnnFeatures
from mnist_clustering.shapes import containment, find_components, merge_contained, shared_components, umap_layout


def one_size(images):
    "A row for each step."
    rows = []

    def step(name, work):
        with costs() as spent:
            made = work()
        rows.append(dict(n=len(images), step=name, **spent))
        return made

    def three_maps():
        return [umap_layout(neighbors, distances, coarse, 10, seed) for seed in range(3)]

    softness = choose_softness(len(images))
    lines, coarse, _ = step('straighten, edges, directions', lambda: preprocess(images, True, softness))
    neighbors, distances = step('neighbours', lambda: nn_descent(lines, coarse, 10, 2))
    maps = step('three maps', three_maps)
    components = step('pieces', lambda: shared_components([find_components(one) for one in maps]))
    ratios, limits = step('containment', lambda: containment(lines, coarse, components))
    clusters = merge_contained(components, ratios, limits)
    cnn = step('training, a round', lambda: CnnFeatures(epochs=1, fresh=True).fit(images, clusters))
    step('7th layer', lambda: cnn.transform(images))
    return rows


@call_parse
def main(
    out: Path = Path('bench/growth.csv') # where to write
):
    "The seconds and the memory of each step."
    train, test = load_mnist()
    images, rows = (train + test).images, []
    with TemporaryDirectory() as folder:
        os.environ['MNIST_CLUSTERING_CACHE'] = folder
        one_size(images[:500]) # numba compiles, UMAP and TensorFlow are loaded
        for n in tqdm((2_500, 5_000, 10_000, 20_000, 40_000, 70_000), disable=None):
            rows += one_size(images[:n])
            pd.DataFrame(rows).to_csv(out, index=False, float_format='%.6g')
    table = pd.DataFrame(rows).pivot(index='step', columns='n', values='seconds')
    print(table.to_string(float_format='{:.1f}'.format))
