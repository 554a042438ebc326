"The same seed gives the same bytes, however many threads there are."
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from mnist_clustering.data import as_rows, load_mnist
from mnist_clustering.distortion import near_candidates
from mnist_clustering.kmeans import AutoGaussianMixture, AutoKMeans, elbow
from mnist_clustering.prepare import NormalizedPCA

ROWS = as_rows(load_mnist()[0].images[:5000])
POINTS = NormalizedPCA(30).fit_transform(ROWS)
MANY = np.random.default_rng(0).normal(size=(12_000, 40)).astype(np.float32)
COPIES = np.tile(MANY[:30], (400, 1)) # which are as far from each other, to the last digit
STEPS = {
    'PCA': lambda: NormalizedPCA(30).fit_transform(ROWS),
    'KMeans': lambda: AutoKMeans(10).fit(POINTS).cluster_centers_,
    'mixture': lambda: AutoGaussianMixture(10).fit(POINTS).means_,
    'candidates, compared with all': lambda: near_candidates(MANY[:3_000], 101),
    'candidates, from cells': lambda: near_candidates(MANY, 101),
    'candidates among copies': lambda: near_candidates(COPIES[:9_000], 101),
    'candidates among copies, from cells': lambda: near_candidates(COPIES, 101),
    'elbow': lambda: elbow(POINTS, range(8, 12)).to_numpy(),
}


@pytest.mark.parametrize('step', STEPS)
def test_the_number_of_threads_changes_nothing(step):
    found = []
    for n_threads in (1, 2, 4):
        with threadpool_limits(n_threads):
            found.append(np.ascontiguousarray(STEPS[step]()))
    assert len({one.tobytes() for one in found}) == 1
