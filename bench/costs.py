"""How time and memory grow with the number of digits: AutoDBSCAN, Ward and relatives on a network's features.

    pip install fastcluster hdbscan
    python bench/costs.py [--out bench/costs.csv]

Each fit has a process of its own and comes after one on few points, which loads and compiles. Memory is what the fit
added at its peak. All methods take turns at each size, so that a machine that slows down slows them all. A method that
would need more than 12 GB or took more than two minutes sits out the larger sizes. scikit-learn's DBSCAN is told the
eps that ours finds.
"""
import multiprocessing
import warnings
from pathlib import Path
from time import perf_counter

import fast_hdbscan
import fastcluster
import hdbscan
import numpy as np
import pandas as pd
from clusterers import peak_mb, points_of
from fastcore.script import call_parse
from sklearn.cluster import DBSCAN, HDBSCAN, AgglomerativeClustering
from tqdm import tqdm

from mnist_clustering.agglomerative import Ward
from mnist_clustering.dbscan import AutoDBSCAN

METHODS = { # name: (notebook, fit of points given the smallest cluster and the eps that ours found)
    'AutoDBSCAN (ours), finds its eps': ('dbscan', lambda X, size, eps: AutoDBSCAN().fit(X)),
    'scikit-learn DBSCAN, told eps': (
        'dbscan', lambda X, size, eps: DBSCAN(eps=eps, min_samples=size, n_jobs=-1).fit(X)),
    'scikit-learn HDBSCAN': (
        'dbscan', lambda X, size, eps: HDBSCAN(min_cluster_size=size, copy=True, n_jobs=-1).fit(X)),
    'hdbscan': ('dbscan', lambda X, size, eps: hdbscan.HDBSCAN(min_cluster_size=size, core_dist_n_jobs=-1).fit(X)),
    'fast_hdbscan': ('dbscan', lambda X, size, eps: fast_hdbscan.HDBSCAN(min_cluster_size=size).fit(X)),
    'Ward (ours), finds its cut': ('ward', lambda X, size, eps: Ward().fit(X)),
    'fastcluster linkage_vector': ('ward', lambda X, size, eps: fastcluster.linkage_vector(X, method='ward')),
    'scikit-learn Ward, told 10': ('ward', lambda X, size, eps: AgglomerativeClustering(n_clusters=10).fit(X)),
}


def cost(method, X, eps):
    warnings.simplefilter('ignore')
    fit = METHODS[method][1]
    fit(X[:300], 5, eps)
    before, start = peak_mb(), perf_counter()
    model = fit(X, int(np.ceil(.005 * len(X))), eps)
    return perf_counter() - start, peak_mb() - before, getattr(model, 'eps_', eps)


@call_parse
def main(
    out: Path = Path('bench/costs.csv') # one row a fit
):
    "Print seconds and megabytes of each method at 5 to 70 thousand digits."
    points = np.random.default_rng(0).permutation(points_of('fast', 0))
    rows, eps, too_slow = [], None, set()
    for n in tqdm((5_000, 10_000, 20_000, 40_000, 70_000), disable=None):
        for method in METHODS: # ours first, which finds the eps for scikit-learn's
            if method in too_slow:
                continue
            with multiprocessing.get_context('spawn').Pool(1) as pool:
                seconds, mb, eps = pool.apply(cost, (method, points[:n], eps))
            rows.append(dict(room=METHODS[method][0], method=method, n=n, seconds=seconds, mb=mb))
            if seconds > 120 or 4 * mb > 12_000:
                too_slow.add(method)
            pd.DataFrame(rows).to_csv(out, index=False, float_format='%.4g')
    table = pd.DataFrame(rows).pivot(index=['room', 'method'], columns='n', values=['seconds', 'mb'])
    print(table.to_string(float_format='{:.3g}'.format))
