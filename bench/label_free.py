"""All 70,000 digits without a label, five seeds: how many shapes, how many digits, how well, how long.

    python bench/label_free.py [--seeds 5] [--out bench/label_free.csv]

Nothing is taken from the cache, so each row is the whole road from images to piles. One process a row: mb is its peak.
The labels are looked at once, at the end of a row, for its scores: the names are those that fit all 70,000 best (Hungarian), as in the literature.
"""
import multiprocessing
import re
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
from fastcore.script import call_parse
from tqdm import tqdm

from mnist_clustering.data import load_mnist
from mnist_clustering.evaluation import cluster_accuracy, map_clusters, purity, score
from mnist_clustering.label_free import DistortionMap


def one_row(seed):
    train, test = load_mnist()
    digits, n = train + test, len(train)
    DistortionMap(seed=seed, fresh=True).fit(digits.images[:300]) # numba compiles, or loads what it has compiled
    start = perf_counter()
    model = DistortionMap(seed=seed, fresh=True).fit(digits.images)
    seconds = perf_counter() - start
    ratios = np.sort(model.ratios_[~np.eye(model.n_pieces_, dtype=bool)])
    names = map_clusters(digits.labels, model.labels_)
    found = score(digits.labels, model.labels_, names)
    return dict(seed=seed, n_pieces=model.n_pieces_, n_clusters=model.n_clusters_, joined_up_to=ratios[model.n_pieces_ - model.n_clusters_ - 1],
                apart_from=ratios[model.n_pieces_ - model.n_clusters_], purity_pieces=purity(digits.labels, model.pieces_), accuracy=found['accuracy'],
                accuracy_test=cluster_accuracy(test.labels, model.labels_[n:], names), nmi=found['nmi'], ari=found['ari'], seconds=seconds,
                mb=int(re.search(r'VmHWM:\s+(\d+)', Path('/proc/self/status').read_text())[1]) / 1024)


@call_parse
def main(seeds: int = 5, # how many
         out: Path = Path('bench/label_free.csv')): # where to write
    "All 70,000 digits without a label, seed by seed; what is written already is not done again."
    rows = pd.read_csv(out).to_dict('records') if out.exists() else []
    for seed in tqdm(range(len(rows), seeds)):
        with multiprocessing.get_context('spawn').Pool(1) as process: rows.append(process.apply(one_row, [seed]))
        pd.DataFrame(rows).to_csv(out, index=False, float_format='%.6g')
    table = pd.DataFrame(rows).drop(columns='seed')
    print(table.agg(['mean', 'std', 'min', 'max']).T.to_string())
