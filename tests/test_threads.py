"The same seed gives the same bytes, however many threads there are."
import numba
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from mnist_clustering.agglomerative import Ward
from mnist_clustering.communities import AutoLouvain
from mnist_clustering.data import as_rows, load_mnist
from mnist_clustering.dbscan import AutoDBSCAN, make_hdbscan
from mnist_clustering.distortion import DistortionNeighbors, near_candidates
from mnist_clustering.kmeans import AutoGaussianMixture, AutoKMeans, elbow
from mnist_clustering.prepare import NormalizedPCA
from mnist_clustering.shapes import DistortionMap

IMAGES = load_mnist()[0].images[:400]
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
    'Ward': lambda: Ward(10).fit(POINTS[:3000]).linkage_,
    'DBSCAN': lambda: AutoDBSCAN().fit(POINTS[:3000]).curve_.to_numpy(),
    'HDBSCAN': lambda: make_hdbscan(3000).fit(POINTS[:3000]).probabilities_,
    'communities': lambda: AutoLouvain().fit(POINTS[:2000]).curve_.to_numpy(),
    'neighbours': lambda: DistortionNeighbors(fresh=True).fit(IMAGES).distances_,
    'map': lambda: DistortionMap(fresh=True).fit(IMAGES).embedding_,
}


@pytest.mark.filterwarnings('ignore:no eps stands out', 'ignore:the clusters are not firm')
@pytest.mark.parametrize('step', STEPS)
def test_the_number_of_threads_changes_nothing(step):
    found = []
    usual = numba.get_num_threads()
    for n_threads in (1, 2, 4):
        numba.set_num_threads(min(n_threads, numba.config.NUMBA_NUM_THREADS))
        with threadpool_limits(n_threads):
            found.append(np.ascontiguousarray(STEPS[step]()))
    numba.set_num_threads(usual)
    assert len({one.tobytes() for one in found}) == 1
