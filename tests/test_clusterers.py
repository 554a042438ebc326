"What DBSCAN and Ward promise, on more data than fits on their pages: the same as scikit-learn and SciPy."
import doctest
import importlib
import os
import subprocess
import sys
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy.cluster.hierarchy import is_valid_linkage, linkage
from scipy.spatial.distance import pdist
from sklearn.cluster import DBSCAN
from sklearn.datasets import make_blobs, make_circles, make_moons

from mnist_clustering.agglomerative import Ward, cut_tree
from mnist_clustering.data import load_mnist
from mnist_clustering.dbscan import AutoDBSCAN, count_clusters, linkage_tree, mutual_reachability_tree, plot_eps
from mnist_clustering.kmeans import CLUSTERERS
from mnist_clustering.prepare import NormalizedPCA

rng = np.random.default_rng(0)
CENTERS = [[0, 0], [6, 0], [0, 6], [6, 6]]
blobs, blob_truth = make_blobs(1500, centers=CENTERS, cluster_std=[.3, .5, .7, .9], random_state=0)
DATA = {
    'blobs': blobs,
    'moons': make_moons(1000, noise=.05, random_state=0)[0],
    'circles': make_circles(1000, noise=.05, factor=.5, random_state=0)[0],
    'anisotropic': blobs @ [[.6, -.6], [-.4, .8]],
    'duplicates': np.repeat(rng.normal(size=(200, 3)), 5, axis=0),
    'grid': rng.integers(0, 9, (1000, 3)).astype(float),
    'far from the origin': blobs + 1e5,
    'float32': blobs.astype(np.float32),
    'high-dimensional': rng.normal(size=(600, 40)) + 4 * np.repeat(rng.normal(size=(6, 40)), 100, axis=0),
    'digits': NormalizedPCA(9).fit_transform(load_mnist()[0].images[:3000].reshape(3000, -1) / 255),
}


@pytest.mark.parametrize('min_samples', [1, 2, 5, 30])
@pytest.mark.parametrize('name', DATA)
def test_dbscan_is_scikit_learns(name, min_samples):
    X = DATA[name]
    nearest = mutual_reachability_tree(X, min_samples)[0][:, 2]
    for eps in np.quantile(nearest[nearest > 0], [.2, .5, .9]) * 1.0001:
        ours = AutoDBSCAN(eps=eps, min_samples=min_samples).fit(X)
        theirs = DBSCAN(eps=eps, min_samples=min_samples).fit(X)
        core = theirs.core_sample_indices_
        np.testing.assert_array_equal(ours.core_sample_indices_, core)
        np.testing.assert_array_equal(ours.labels_[core], theirs.labels_[core])
        np.testing.assert_array_equal(ours.labels_ < 0, theirs.labels_ < 0)
        for point in np.flatnonzero(ours.labels_ != theirs.labels_): # the nearest core point, not the first
            distance = np.linalg.norm(X[core].astype(float) - X[point], axis=1)
            assert distance[ours.labels_[core] == ours.labels_[point]].min() <= distance.min() + 1e-9 * eps
            assert distance[ours.labels_[core] == theirs.labels_[point]].min() <= eps


def test_dbscan_predicts_what_it_fitted():
    model = AutoDBSCAN().fit(blobs)
    np.testing.assert_array_equal(model.predict(blobs), model.labels_)
    assert model.predict([[100., 100]]) == -1
    assert model.predict([[100., 100]], assign_noise=True) == model.predict([[6., 6]])


def test_auto_is_the_same_as_being_told():
    auto = AutoDBSCAN().fit(blobs)
    told = AutoDBSCAN(eps=auto.eps_, min_samples=auto.min_samples_).fit(blobs)
    assert auto.n_clusters_ == 4
    kept = auto.labels_ >= 0
    assert len(set(zip(auto.labels_[kept], told.labels_[kept]))) == 4


def test_counts_agree_with_fitting_at_each_eps():
    X = DATA['moons']
    tree, _ = mutual_reachability_tree(X, 5)
    for row in count_clusters(tree, 20).iloc[::60].itertuples():
        model = AutoDBSCAN(eps=row.eps, min_samples=5).fit(X)
        n_core = np.bincount(model.labels_[model.core_sample_indices_], minlength=1)
        assert row.n_clusters == (n_core >= 20).sum()
        assert row.coverage == pytest.approx(n_core[n_core >= 20].sum() / len(X))


@pytest.mark.parametrize('name', DATA)
def test_edges_make_scipys_tree(name):
    "Single linkage gives a tree; its merges, written as edges, give it back."
    tree = linkage(DATA[name][:300], method='single')
    first_point = list(range(len(tree) + 1))
    edges = []
    for left, right, height, _ in tree:
        edges.append((first_point[int(left)], first_point[int(right)], height))
        first_point.append(first_point[int(left)])
    ours = linkage_tree(np.array(edges))
    assert is_valid_linkage(ours)
    np.testing.assert_array_equal(np.sort(ours[:, :2]), np.sort(tree[:, :2]))
    np.testing.assert_array_equal(ours[:, 2:], tree[:, 2:])


def test_noise_has_no_clusters():
    with pytest.warns(UserWarning, match='no eps stands out: the count of clusters stays the same'):
        AutoDBSCAN().fit(rng.random((1000, 2)))
    with pytest.warns(UserWarning, match='no eps stands out: no second cluster forms .* which gives 1'):
        assert AutoDBSCAN().fit(np.ones((50, 2))).n_clusters_ == 1
    with pytest.warns(UserWarning, match='no gap stands out'):
        Ward().fit(rng.random((1000, 2)))
    with pytest.warns(UserWarning, match='no gap stands out'):
        Ward().fit(np.ones((50, 2)))


@pytest.mark.parametrize('n', [3, 200])
def test_the_warning_says_what_the_guess_gives(n):
    with pytest.warns(UserWarning) as caught:
        model = AutoDBSCAN().fit(rng.random((n, 2)))
    assert f'which gives {model.n_clusters_} cluster' in str(caught[0].message)


@pytest.mark.parametrize('name', sorted(DATA.keys() - {'grid'})) # on a grid many heights are equal
def test_ward_is_scipys(name):
    X = DATA[name]
    ours, theirs = Ward(n_clusters=5).fit(X).linkage_, linkage(X, method='ward')
    np.testing.assert_allclose(ours[:, 2], theirs[:, 2], rtol=1e-6, atol=1e-9 * theirs[-1, 2])
    for k in (2, 5, 20, 100):
        np.testing.assert_array_equal(cut_tree(ours, k), cut_tree(theirs, k))


def test_ward_merges_the_nearest_when_many_heights_are_equal():
    "On a grid: each merge has the height that Ward says, and no two clusters that were there have a lower one."
    X = np.stack(np.meshgrid(np.arange(7.), np.arange(7.)), -1).reshape(-1, 2)
    clusters = [X[i:i + 1] for i in range(len(X))]
    for a, b, height, size in Ward(n_clusters=2).fit(X).linkage_:
        left, right = clusters[int(a)], clusters[int(b)]
        assert height == pytest.approx(merge_heights([cluster for cluster in clusters if cluster is not None]).min())
        assert height == pytest.approx(merge_heights([left, right]).min())
        assert size == len(left) + len(right)
        clusters[int(a)] = clusters[int(b)] = None
        clusters.append(np.vstack([left, right]))


def merge_heights(clusters):
    "The height at which each pair would merge."
    centers = np.array([cluster.mean(axis=0) for cluster in clusters])
    sizes = np.array([len(cluster) for cluster in clusters])
    pairs = np.triu_indices(len(sizes), 1)
    return np.sqrt(2 / (1 / sizes[:, None] + 1 / sizes)[pairs]) * pdist(centers)


def test_ward_predicts_by_its_own_criterion():
    "Joining the point to each cluster in turn, by hand."
    model = Ward(n_clusters=4).fit(blobs)

    def spread(X):
        return ((X - X.mean(axis=0)) ** 2).sum()

    for point in rng.uniform(-2, 8, (20, 2)):
        costs = []
        for cluster in range(4):
            members = blobs[model.labels_ == cluster]
            costs.append(spread(np.vstack([members, point])) - spread(members))
        assert model.predict([point])[0] == np.argmin(costs)


@pytest.mark.parametrize('name', ['kmeans', 'gaussian_mixture', 'ward', 'dbscan'])
def test_points_of_another_precision_get_the_same_clusters(name):
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(5 * i, 1, (50, 4)) for i in range(3)])
    entry = CLUSTERERS[name]
    for fitted, later in ((np.float64, np.float32), (np.float32, np.float64)):
        n_clusters = 'auto' if entry.finds_n_clusters else 3
        found = entry.make(n=len(X), n_clusters=n_clusters, seed=0).fit(X.astype(fitted))
        np.testing.assert_array_equal(found.predict(X.astype(later)), found.labels_)


@pytest.mark.parametrize('model', [AutoDBSCAN(), AutoDBSCAN(eps=.1, min_samples=2), Ward(), Ward(n_clusters=2)])
@pytest.mark.filterwarnings('ignore:no (eps|gap) stands out')
def test_few_points(model):
    for n in (0, 1):
        with pytest.raises(ValueError, match='minimum of'):
            model.fit(np.zeros((n, 3)))
    for n in (2, 3, 6):
        assert len(model.fit(rng.normal(size=(n, 3))).labels_) == n
    with pytest.raises(ValueError, match='n_clusters must be'):
        Ward(n_clusters=3).fit(np.zeros((2, 2)))


@pytest.mark.filterwarnings('ignore:no eps stands out')
def test_eps_of_points_that_are_all_the_same_is_drawn_in_silence():
    model = AutoDBSCAN().fit(np.ones((50, 2)))
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        plot_eps(model.curve_, model.eps_).figure.canvas.draw()
    plt.close('all')


def test_entries_make_the_estimators():
    eps_told = CLUSTERERS['dbscan'].make(n=1500, n_clusters='auto', seed=3, eps=.4, min_samples=7)
    assert eps_told.get_params() == AutoDBSCAN(eps=.4, min_samples=7).get_params()
    assert CLUSTERERS['dbscan'].make(n=1500).get_params() == AutoDBSCAN().get_params()
    assert CLUSTERERS['ward'].make(n=1500, n_clusters=4, seed=3).get_params() == Ward(n_clusters=4).get_params()
    for n, size in [(600, 5), (70_000, 350)]:
        assert CLUSTERERS['hdbscan'].make(n=n).min_cluster_size == size
    assert CLUSTERERS['hdbscan'].make(n=1500, n_clusters='auto', seed=3, min_cluster_size=40).min_cluster_size == 40


@pytest.mark.parametrize('name', ['dbscan', 'hdbscan', 'ward'])
def test_entries_draw_their_picture(name):
    entry = CLUSTERERS[name]
    images = rng.integers(0, 256, (len(blobs), 28, 28), dtype=np.uint8)
    model = entry.make(n=len(blobs)).fit(blobs)
    assert model.labels_.max() + 1 == 4
    ax = plt.subplots()[1]
    assert entry.picture(model, blobs, images, ax=ax) is ax
    assert entry.picture(model, blobs, images) is not ax
    assert entry.caption and ax.has_data()
    assert (entry.finds_n_clusters, entry.leaves_noise, entry.seeded) == (name != 'ward', name != 'ward', False)
    plt.close('all')


def test_parameters_of_the_entries_know_their_bounds():
    eps, min_samples = CLUSTERERS['dbscan'].parameters['eps'], CLUSTERERS['dbscan'].parameters['min_samples']
    size = CLUSTERERS['hdbscan'].parameters['min_cluster_size']
    for parameter in (eps, min_samples, size):
        assert parameter.read('it', 'auto') == 'auto'
    assert (eps.read('eps', '.25'), min_samples.read('min_samples', '9'), size.read('it', '70000')) == (.25, 9, 70_000)
    for parameter, wrong in [(eps, '0'), (eps, 'inf'), (min_samples, '0'), (min_samples, '2.5'), (size, '1')]:
        with pytest.raises(ValueError, match='it must be'):
            parameter.read('it', wrong)


@pytest.mark.parametrize('name', ['agglomerative', 'dbscan'])
def test_examples_in_docstrings(name):
    tried = doctest.testmod(importlib.import_module(f'mnist_clustering.{name}'))
    assert tried.attempted and not tried.failed


def test_fast_hdbscan_is_loaded_only_where_it_is_used():
    "Its first import compiles for half a minute."
    program = '''import sys
from mnist_clustering.agglomerative import Ward
from mnist_clustering.dbscan import AutoDBSCAN
from mnist_clustering.kmeans import CLUSTERERS
Ward(n_clusters=2).fit([[0.], [1.], [5.]])
AutoDBSCAN(eps=2., min_samples=2).fit([[0.], [1.], [5.]])
print('fast_hdbscan' in sys.modules)
CLUSTERERS['hdbscan'].make(n=3).fit([[0.], [1.], [5.]])
print('fast_hdbscan' in sys.modules)'''
    ended = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ['False', 'True']


def test_dbscan_is_the_same_on_one_core_and_on_two():
    program = '''import hashlib
import numpy as np
from mnist_clustering.dbscan import mutual_reachability_tree
rng = np.random.default_rng(0)
points = np.concatenate([rng.normal(size=(3_000, 4)), rng.integers(0, 9, (3_000, 4))])
tree, core_distances = mutual_reachability_tree(points, 20)
print(hashlib.sha256(tree.tobytes() + core_distances.tobytes()).hexdigest())'''
    digests = set()
    for n_threads in ('1', '2'):
        ended = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, check=True,
                               env=os.environ | {'NUMBA_NUM_THREADS': n_threads})
        digests.add(ended.stdout)
    assert len(digests) == 1
