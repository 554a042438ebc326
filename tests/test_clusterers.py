"What the rooms of DBSCAN and Ward promise, on more data than fits on their pages: the same as scikit-learn and SciPy."
import numpy as np
import psutil
import pytest
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import pdist
from sklearn.cluster import DBSCAN
from sklearn.datasets import make_blobs, make_circles, make_moons

from mnist_clustering.agglomerative import cut_tree, Ward
from mnist_clustering.data import load_mnist
from mnist_clustering.dbscan import AutoDBSCAN, count_clusters, mutual_reachability_tree
from mnist_clustering.prepare import NormalizedPCA

rng = np.random.default_rng(0)
blobs, blob_truth = make_blobs(1500, centers=[[0, 0], [6, 0], [0, 6], [6, 6]], cluster_std=[.3, .5, .7, .9], random_state=0)
DATA = {
    'blobs': blobs, 'moons': make_moons(1000, noise=.05, random_state=0)[0], 'circles': make_circles(1000, noise=.05, factor=.5, random_state=0)[0],
    'anisotropic': blobs @ [[.6, -.6], [-.4, .8]], 'duplicates': np.repeat(rng.normal(size=(200, 3)), 5, axis=0), 'grid': rng.integers(0, 9, (1000, 3)).astype(float),
    'far from the origin': blobs + 1e5, 'float32': blobs.astype(np.float32), 'high-dimensional': rng.normal(size=(600, 40)) + 4 * np.repeat(rng.normal(size=(6, 40)), 100, axis=0),
    'digits': NormalizedPCA(9).fit_transform(load_mnist()[0].images[:3000].reshape(-1, 784) / 255)}


@pytest.mark.parametrize('min_samples', [1, 2, 5, 30])
@pytest.mark.parametrize('name', DATA)
def test_dbscan_is_scikit_learns(name, min_samples):
    X = DATA[name]
    nearest = mutual_reachability_tree(X, min_samples)[0][:, 2]
    for eps in np.quantile(nearest[nearest > 0], [.2, .5, .9]) * 1.0001:
        ours, theirs = AutoDBSCAN(eps=eps, min_samples=min_samples).fit(X), DBSCAN(eps=eps, min_samples=min_samples).fit(X)
        core = theirs.core_sample_indices_
        np.testing.assert_array_equal(ours.core_sample_indices_, core)
        np.testing.assert_array_equal(ours.labels_[core], theirs.labels_[core])
        np.testing.assert_array_equal(ours.labels_ < 0, theirs.labels_ < 0)
        for point in np.flatnonzero(ours.labels_ != theirs.labels_): # the nearest core point, where scikit-learn took the first
            distance = np.linalg.norm(X[core].astype(float) - X[point], axis=1)
            assert distance[ours.labels_[core] == ours.labels_[point]].min() <= distance.min() + 1e-9 * eps
            assert distance[ours.labels_[core] == theirs.labels_[point]].min() <= eps


def test_dbscan_predicts_what_it_fitted():
    model = AutoDBSCAN().fit(blobs)
    np.testing.assert_array_equal(model.predict(blobs), model.labels_)
    assert model.predict([[100., 100]]) == -1 and model.predict([[100., 100]], assign_noise=True) == model.predict([[6., 6]])


def test_auto_is_the_same_as_being_told():
    found = AutoDBSCAN().fit(blobs)
    told = AutoDBSCAN(eps=found.eps_, min_samples=found.min_samples_).fit(blobs)
    assert found.n_clusters_ == 4
    kept = found.labels_ >= 0
    assert len(set(zip(found.labels_[kept], told.labels_[kept]))) == 4


def test_counts_agree_with_fitting_at_each_eps():
    X = DATA['moons']
    tree, _ = mutual_reachability_tree(X, 5)
    for row in count_clusters(tree, 20).iloc[::60].itertuples():
        model = AutoDBSCAN(eps=row.eps, min_samples=5).fit(X)
        cores = np.bincount(model.labels_[model.core_sample_indices_], minlength=1)
        assert row.n_clusters == (cores >= 20).sum()
        assert row.coverage == pytest.approx(cores[cores >= 20].sum() / len(X))


def test_noise_has_no_clusters():
    with pytest.warns(UserWarning, match='no eps stands out'): AutoDBSCAN().fit(rng.random((1000, 2)))
    with pytest.warns(UserWarning, match='no eps stands out.* which gives 1'): assert AutoDBSCAN().fit(np.ones((50, 2))).n_clusters_ == 1
    with pytest.warns(UserWarning, match='no gap stands out'): Ward().fit(rng.random((1000, 2)))
    with pytest.warns(UserWarning, match='no gap stands out'): Ward().fit(np.ones((50, 2)))


@pytest.mark.parametrize('name', sorted(DATA.keys() - {'grid'})) # on a grid many joints cost exactly the same, and the tree is not unique
def test_ward_is_scipys(name):
    X = DATA[name]
    ours, theirs = Ward(n_clusters=5).fit(X).linkage_, linkage(X, method='ward')
    np.testing.assert_allclose(ours[:, 2], theirs[:, 2], rtol=1e-6, atol=1e-9 * theirs[-1, 2])
    for k in (2, 5, 20, 100): np.testing.assert_array_equal(cut_tree(ours, k), cut_tree(theirs, k))


def test_ward_joins_the_cheapest_when_many_cost_the_same():
    "On a grid: each joint costs what Ward says, and no two families that were there would have cost less."
    X = np.stack(np.meshgrid(np.arange(7.), np.arange(7.)), -1).reshape(-1, 2)
    families = [X[i:i + 1] for i in range(len(X))]
    for a, b, height, size in Ward(n_clusters=2).fit(X).linkage_:
        alive = [family for family in families if family is not None]
        costs = linkage_costs(alive)
        assert height == pytest.approx(costs.min())
        both = np.vstack([families[int(a)], families[int(b)]])
        assert len(both) == size and height == pytest.approx(linkage_costs([families[int(a)], families[int(b)]]).min())
        families[int(a)] = families[int(b)] = None
        families.append(both)


def linkage_costs(families):
    centers, sizes = np.array([family.mean(axis=0) for family in families]), np.array([len(family) for family in families])
    return np.sqrt(2 / (1 / sizes[:, None] + 1 / sizes)[np.triu_indices(len(sizes), 1)]) * pdist(centers)


def test_ward_predicts_by_its_own_criterion():
    "Joining the point to each cluster in turn, by hand."
    model = Ward(n_clusters=4).fit(blobs)
    for point in rng.uniform(-2, 8, (20, 2)):
        def spread(X): return ((X - X.mean(axis=0)) ** 2).sum()
        costs = [spread(np.vstack([blobs[model.labels_ == c], point])) - spread(blobs[model.labels_ == c]) for c in range(4)]
        assert model.predict([point])[0] == np.argmin(costs)


@pytest.mark.parametrize('model', [AutoDBSCAN(), AutoDBSCAN(eps=.1, min_samples=2), Ward(), Ward(n_clusters=2)])
@pytest.mark.filterwarnings('ignore:no (eps|gap) stands out')
def test_few_points(model):
    for n in (0, 1):
        with pytest.raises(ValueError, match='minimum of'): model.fit(np.zeros((n, 3)))
    for n in (2, 3, 6): assert len(model.fit(rng.normal(size=(n, 3))).labels_) == n
    with pytest.raises(ValueError, match='n_clusters must be'): Ward(n_clusters=3).fit(np.zeros((2, 2)))


def test_what_cannot_fit_is_refused_before_it_starts(monkeypatch):
    monkeypatch.setattr(psutil, 'virtual_memory', lambda: type('Memory', (), dict(available=1000)))
    for model in (AutoDBSCAN(), Ward()):
        with pytest.raises(MemoryError, match='needs about [0-9,]+ bytes of memory and 1,000 are free: take fewer points'): model.fit(blobs)
