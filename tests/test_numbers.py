"""Numbers of any size, ties, copies and far outliers: right, or refused in one sentence.

The oracle is scikit-learn or SciPy on the same numbers, divided by a power of two where these would overflow.
`python tests/test_numbers.py` tries all 5,000 random sets of AutoDBSCAN, which takes a minute; the test takes 1,000.
"""
import warnings

import numba
import numpy as np
import pytest
from scipy.cluster.hierarchy import linkage
from scipy.sparse import csr_matrix, diags_array
from scipy.spatial.distance import pdist, squareform
from sklearn.cluster import DBSCAN, AgglomerativeClustering, KMeans
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score
from sklearn.preprocessing import normalize

from mnist_clustering import kmeans, machine
from mnist_clustering.agglomerative import Ward, cut_tree
from mnist_clustering.communities import AutoLouvain, check_graph, graph_of_points
from mnist_clustering.dbscan import AutoDBSCAN, RescaledHDBSCAN, mutual_reachability_tree
from mnist_clustering.distortion import choose_n_neighbors
from mnist_clustering.kmeans import CLUSTERERS, AutoGaussianMixture, AutoKMeans, elbow
from mnist_clustering.prepare import NormalizedPCA

N_SETS = 5_000
blobs, truth = make_blobs(300, centers=[[0, 0], [8, 0], [0, 8]], cluster_std=.5, random_state=0)
FACTORS = [1e-300, 1e-150, 1e-20, 1e20, 1e150, 1e160, 1e200, 1e290]


@pytest.fixture(autouse=True)
def one_thread():
    "The sets are tiny: threads would only wait for each other."
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(before)


def random_set(seed):
    "Points, an eps, min_samples, and the power of two by which our points are multiplied."
    rng = np.random.default_rng(seed)
    n, d = rng.integers(2, 120), int(rng.choice([1, 2, 3, 5, 10, 16, 50]))
    kind = rng.choice(['integers', 'grid', 'blobs', 'duplicates', 'one-hot'])
    if kind == 'integers':
        X = rng.integers(-5, 6, (n, d)).astype(float)
    elif kind == 'grid':
        X = rng.integers(0, 4, (n, d)) / 8
    elif kind == 'blobs':
        X = rng.normal(size=(n, d)) * .3 + 4 * rng.normal(size=(3, d))[rng.integers(0, 3, n)]
    elif kind == 'duplicates':
        X = rng.normal(size=(n, d))[rng.integers(0, 1 + n // 4, n)]
    else:
        X = np.eye(d)[rng.integers(0, d, n)]
    rare = rng.choice(['nothing', 'outliers', 'sentinels', 'offset'])
    if rare == 'outliers':
        X[rng.integers(0, n, 1 + n // 20)] *= 10. ** rng.integers(1, 13)
    elif rare == 'sentinels':
        X[rng.integers(0, n, 1 + n // 10)] = 1e8
    elif rare == 'offset':
        X += 2. ** 20
    if rng.random() < .3:
        X = X.astype(np.float32)
    squared = pdist(X.astype(float), 'sqeuclidean')
    distance = rng.choice(squared) ** .5
    exact = distance ** 2 in squared and kind not in ('blobs', 'duplicates')
    eps = distance if distance > 0 and exact and rng.random() < .5 else 1.0001 * distance or 1. # half are exact ties
    power = int(rng.choice([0, 0, 30, -30, 498, -498, 900, -900])) # up to 1e271
    if X.dtype == np.float32:
        power = int(np.clip(power, -60, 60))
    return X, float(eps), int(rng.integers(1, min(n, 12) + 1)), power


def check_set(seed):
    "AssertionError unless core points, noise and the clusters of core points are scikit-learn's."
    X, eps, min_samples, power = random_set(seed)
    moved = np.ldexp(X, power)
    ours = AutoDBSCAN(eps=np.ldexp(eps, power), min_samples=min_samples).fit(moved)
    theirs = DBSCAN(eps=eps, min_samples=min_samples, algorithm='kd_tree').fit(X) # the others round
    core = theirs.core_sample_indices_
    np.testing.assert_array_equal(ours.core_sample_indices_, core)
    np.testing.assert_array_equal(ours.labels_[core], theirs.labels_[core])
    np.testing.assert_array_equal(ours.labels_ < 0, theirs.labels_ < 0)
    np.testing.assert_array_equal(ours.predict(moved), ours.labels_)


@pytest.mark.parametrize('part', range(10))
def test_dbscan_is_scikit_learns_on_random_sets(part):
    for seed in range(part, N_SETS, 50):
        check_set(seed)


@pytest.mark.parametrize('seed', range(40))
def test_the_tree_is_scipys_on_random_sets(seed):
    "Edges of the same height must not hide a lower one: one for each component is added, as in set 240."
    X, _, min_samples, power = random_set(6 * seed)
    squared = squareform(pdist(X.astype(float), 'sqeuclidean'))
    core = np.sort(squared, axis=1)[:, min_samples - 1]
    reachability = np.maximum(squared, np.maximum(core, core[:, None]))
    np.fill_diagonal(reachability, 0)
    tree, core_distances = mutual_reachability_tree(np.ldexp(X, power), min_samples)
    heights = linkage(squareform(reachability), method='single')[:, 2] ** .5
    np.testing.assert_allclose(np.ldexp(tree[:, 2], -power), heights, rtol=1e-12)
    np.testing.assert_allclose(np.ldexp(core_distances, -power), core ** .5, rtol=1e-12)


@pytest.mark.parametrize('points, eps, labels', [
    ([0, 1, 2, 10, 11, 12, 1e10], 1.5, [0, 0, 0, 1, 1, 1, -1]),
    ([0, 1, 2, 10, 11, 12, 1e200], 1.5, [0, 0, 0, 1, 1, 1, -1]),
    ([1, 1, 1, 7, 8], 1, [0, 0, 0, 1, 1]),
    ([1e-300, 2e-300, 9e-300], 1e-300, [0, 0, -1])])
def test_dbscan_on_few_numbers(points, eps, labels):
    assert AutoDBSCAN(eps=eps, min_samples=2).fit_predict(np.array(points)[:, None]).tolist() == labels


def test_sentinels_are_a_cluster_of_their_own():
    model = AutoDBSCAN(min_samples=5, eps=1.).fit(np.vstack([blobs, np.full((30, 2), 1e8)]))
    assert model.n_clusters_ == 4 and len(set(model.labels_[-30:])) == 1


def test_a_distance_that_is_just_eps():
    "The square decides, as in scikit-learn's trees; 1.73… is below the root of 3."
    corners = [[0., 0, 0], [1, 1, 1]]
    assert AutoDBSCAN(eps=3 ** .5, min_samples=2).fit(corners).n_clusters_ == 0
    assert AutoDBSCAN(eps=np.nextafter(3 ** .5, 2), min_samples=2).fit(corners).n_clusters_ == 1
    sides = AutoDBSCAN(eps=5., min_samples=2).fit([[0., 0], [3, 4], [9, 9]])
    assert sides.predict([[3, -4], [0, -5], [0, -5.000001]]).tolist() == [0, 0, -1]
    rng = np.random.default_rng(0)
    for d in (1, 3, 20, 50):
        X = rng.integers(-2, 3, (200, d)).astype(float)
        for eps in mutual_reachability_tree(X, 4)[0][::30, 2]:
            if eps > 0:
                model = AutoDBSCAN(eps=eps, min_samples=4).fit(X)
                np.testing.assert_array_equal(model.predict(X), model.labels_)


@pytest.mark.parametrize('factor', [2. ** 900, 2. ** -900, *FACTORS])
def test_auto_gives_the_same_at_any_scale(factor):
    for X in (blobs, np.random.default_rng(1).integers(0, 5, (200, 2)).astype(float)):
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            plain, scaled = AutoDBSCAN().fit(X), AutoDBSCAN().fit(X * factor)
        np.testing.assert_array_equal(scaled.labels_, plain.labels_)
        assert scaled.eps_ == pytest.approx(plain.eps_ * factor, rel=1e-12)
        if np.log2(factor) % 1 == 0:
            assert scaled.eps_ == plain.eps_ * factor


@pytest.mark.parametrize('name', sorted(CLUSTERERS.keys() - {'louvain'}))
@pytest.mark.parametrize('factor', FACTORS)
def test_every_clusterer_at_any_scale(name, factor):
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        plain = CLUSTERERS[name].make(n=300, seed=0).fit(blobs)
        scaled = CLUSTERERS[name].make(n=300, seed=0).fit(blobs * factor)
    np.testing.assert_array_equal(scaled.labels_, plain.labels_)
    if hasattr(scaled, 'predict'):
        np.testing.assert_array_equal(scaled.predict(blobs * factor), plain.predict(blobs))
    if hasattr(scaled, 'cluster_centers_'):
        np.testing.assert_allclose(scaled.cluster_centers_ / factor, plain.cluster_centers_, rtol=1e-9)
    if name != 'hdbscan': # which divides two of the three groups, or not, by points that are single
        assert adjusted_rand_score(truth, scaled.labels_) > .95


@pytest.mark.parametrize('factor', FACTORS)
def test_the_graph_of_points_at_any_scale(factor):
    "Communities read nothing but the graph."
    for X in (blobs, np.hstack([blobs, np.random.default_rng(0).normal(size=(300, 30))])):
        plain, scaled = graph_of_points(X), graph_of_points(X * factor)
        np.testing.assert_array_equal(scaled.indices, plain.indices)
        np.testing.assert_allclose(scaled.data, plain.data, rtol=1e-6)


@pytest.mark.parametrize('name', sorted(CLUSTERERS))
@pytest.mark.parametrize('offset', [1e5, 1e8])
def test_every_clusterer_far_from_zero(name, offset):
    plain = CLUSTERERS[name].make(n=300, seed=0).fit(blobs)
    moved = CLUSTERERS[name].make(n=300, seed=0).fit(blobs + offset)
    assert adjusted_rand_score(plain.labels_, moved.labels_) > .99
    if hasattr(moved, 'predict'):
        np.testing.assert_array_equal(moved.predict(blobs + offset), moved.labels_)


@pytest.mark.parametrize('name', sorted(CLUSTERERS))
def test_numbers_that_are_too_large_are_refused(name):
    with pytest.raises(ValueError, match='X holds numbers above 1e300, too large to compute with: divide all by'):
        CLUSTERERS[name].make(n=300).fit(blobs * 1e300)
    with warnings.catch_warnings(action='error'), pytest.raises(ValueError, match='X holds numbers above 1e300, too'):
        CLUSTERERS[name].make(n=300).fit(blobs * 1e306)


@pytest.mark.parametrize('name', sorted(CLUSTERERS))
@pytest.mark.parametrize('value', [1e160, -1e200, 1e-300])
def test_a_single_extreme_number_is_in_a_cluster_or_refused(name, value):
    "As labels or one sentence, and without a warning of NumPy."
    X = blobs.copy()
    X[7, 0] = value
    with warnings.catch_warnings():
        warnings.simplefilter('error', RuntimeWarning)
        try:
            model = CLUSTERERS[name].make(n=300, seed=0).fit(X)
        except ValueError as error:
            assert name == 'hdbscan' and 'leave out those that are far away' in str(error)
            return
        if hasattr(model, 'predict'):
            model.predict(X)
    others = np.arange(300) != 7
    if name in ('dbscan', 'louvain'):
        assert adjusted_rand_score(truth[others], model.labels_[others]) > .98
    elif value != 1e-300:
        assert model.labels_[7] == -1 or (model.labels_ == model.labels_[7]).sum() == 1


HARD = {
    'apart': blobs,
    'single precision': blobs.astype(np.float32),
    'in many dimensions': np.hstack([blobs, np.random.default_rng(0).normal(size=(300, 60))]),
    'copies': blobs[np.arange(300) // 10 * 10],
    'all the same': np.ones((40, 3)),
    'tiny': blobs * 1e-300,
    'huge': blobs * 1e298,
    'too large': blobs * 1e305,
    'far away': blobs + 1e9,
    'of all sizes': np.vstack([blobs, np.eye(2, blobs.shape[1]) * [[1e200], [1e-200]]])}


@pytest.mark.parametrize('name', [*sorted(CLUSTERERS), 'normalized_pca'])
@pytest.mark.parametrize('kind', HARD)
@pytest.mark.filterwarnings('ignore')
def test_errors_of_numpy_may_be_raised(name, kind):
    "What is fitted where NumPy was told to raise is what is fitted where it was not."
    def fit():
        model = NormalizedPCA() if name == 'normalized_pca' else CLUSTERERS[name].make(n=len(X), seed=0)
        try:
            return model.fit(X)
        except ValueError as error:
            return str(error)

    def told_of(model):
        return [getattr(model, method)(X) for method in ('predict', 'predict_proba', 'transform')
                if hasattr(model, method)] or [model.labels_]

    X = HARD[kind]
    plain = fit()
    with np.errstate(all='raise'):
        strict = fit()
        if not isinstance(plain, str):
            strict = told_of(strict)
    if isinstance(plain, str):
        assert strict == plain
    else:
        for one, other in zip(strict, told_of(plain), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize('name', sorted(CLUSTERERS.keys() - {'gaussian_mixture', 'hdbscan'}))
def test_more_than_65535_columns(name):
    "A mixture would need a table of 65,536² numbers, and HDBSCAN a minute."
    X = np.random.default_rng(0).normal(size=(24, 65_537)) + np.repeat([0, 1.], 12)[:, None]
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        n_clusters = dict(n_clusters=2) if name == 'kmeans' else {} # 20 numbers would take half a minute
        model = CLUSTERERS[name].make(n=24, **n_clusters).fit(X)
    assert adjusted_rand_score(np.repeat([0, 1], 12), model.labels_) == 1
    assert NormalizedPCA().fit_transform(X).shape == (24, 2)


def test_a_mixture_in_too_many_dimensions_is_refused():
    with pytest.raises(MemoryError, match='A mixture in 1,000,000 dimensions needs about'):
        AutoGaussianMixture(1).fit(np.ones((2, 1_000_000)))


@pytest.mark.parametrize('n_clusters', ['auto', 200])
def test_a_mixture_that_does_not_fit_is_refused_before_its_number_is_looked_for(n_clusters, monkeypatch):
    monkeypatch.setattr(kmeans, 'choose_n_clusters', None)
    monkeypatch.setattr(machine, 'memory_left', lambda *_: (1000, 'here'))
    with pytest.raises(MemoryError, match='A mixture of (20|200) for 300 points needs about'):
        AutoGaussianMixture(n_clusters).fit(blobs)


@pytest.mark.parametrize('seed', range(60))
def test_ward_is_scipys_on_random_sets(seed):
    "The same heights, and the same cuts where no two heights are equal."
    X, _, _, power = random_set(seed)
    ours, theirs = Ward(1).fit(np.ldexp(X, power)).linkage_, linkage(X.astype(float), method='ward')
    unlike = np.diff(theirs[:, 2]).min(initial=np.inf) > 1e-6 * theirs[-1, 2]
    if unlike: # else the order of equal merges decides
        np.testing.assert_allclose(np.ldexp(ours[:, 2], -power), theirs[:, 2], rtol=1e-6)
        for k in range(1, min(len(X), 20) + 1):
            np.testing.assert_array_equal(cut_tree(ours, k), cut_tree(theirs, k))


@pytest.mark.parametrize('factor', FACTORS)
def test_ward_at_any_scale(factor):
    ours = Ward(3).fit(blobs * factor)
    np.testing.assert_allclose(ours.distances_ / factor, linkage(blobs, method='ward')[:, 2], rtol=1e-9)
    theirs = AgglomerativeClustering(3).fit_predict(blobs)
    assert adjusted_rand_score(ours.labels_, theirs) == 1
    np.testing.assert_array_equal(ours.predict(blobs * factor), Ward(3).fit(blobs).predict(blobs))


def test_ward_beside_a_far_outlier():
    for far in (1e8, 1e12, 1e20):
        heights = Ward(1).fit(np.vstack([blobs, [[far, 0]]])).distances_
        np.testing.assert_allclose(heights[:-1], linkage(blobs, method='ward')[:, 2], rtol=1e-9)


@pytest.mark.parametrize('dtype, factors', [(np.float64, FACTORS), (np.float32, [1e-37, 1e-30, 1e-20, 1e20, 1e37])])
def test_normalized_pca_at_any_scale(dtype, factors):
    rows = np.random.default_rng(0).normal(size=(60, 8)).astype(dtype)
    rows[3] = 0
    plain = NormalizedPCA(3).fit(rows)
    tolerance = 1e-9 if dtype == np.float64 else 1e-4
    for factor in factors:
        scaled = rows * np.array([factor, 1, 3], dtype)[np.arange(60) % 3, None]
        ours = NormalizedPCA(3).fit_transform(scaled)
        np.testing.assert_allclose(ours, plain.transform(rows), atol=tolerance)
        np.testing.assert_allclose(plain.transform(scaled[:9]), plain.transform(normalize(rows[:9])), atol=tolerance)
    assert NormalizedPCA().fit_transform(np.zeros((5, 4))).tolist() == np.zeros((5, 2)).tolist()


@pytest.mark.parametrize('copies', [5, 30])
def test_copies_are_clusters(copies):
    for different in (np.array([[0.], [1]]), np.eye(6), np.array([[0.], [1], [5]])):
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            model = AutoDBSCAN().fit(np.repeat(different, copies, axis=0))
        assert model.labels_.tolist() == np.repeat(np.arange(len(different)), copies).tolist()
        assert model.plateaus_.ratio[0] == np.inf
        assert model.predict(different).tolist() == list(range(len(different)))


def test_a_few_copies_do_not_decide_over_all_others():
    blank_and_black = np.repeat([[20., 20], [30, 30]], 10, axis=0)
    model = AutoDBSCAN().fit(np.vstack([blobs, blank_and_black]))
    assert model.n_clusters_ > 2 and adjusted_rand_score(truth, model.labels_[:300]) > .95


@pytest.mark.parametrize('seed', range(30))
def test_warnings_say_what_is_returned(seed):
    rng = np.random.default_rng(seed)
    n = rng.integers(2, 60)
    X = [rng.random((n, 2)), rng.integers(0, 3, (n, 1)), np.ones((n, 2)), np.arange(n)[:, None]][seed % 4]
    for model, words in [(AutoDBSCAN(), 'which gives {} cluster'), (Ward(), 'best guess is {} cluster')]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter('always')
            model.fit(X)
        assert model.n_clusters_ == len(set(model.labels_) - {-1})
        for warning in caught:
            assert words.format(model.n_clusters_) in str(warning.message)


@pytest.mark.parametrize('far', [1e3, 1e8, 1e12, 1e20])
def test_the_elbow_beside_a_far_outlier(far):
    X = np.vstack([blobs, [[far, 0]]])
    for seed in range(3):
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            curve = elbow(X, range(1, 6), seed=seed)
        assert curve.silhouette.idxmax() == 1 and curve.silhouette[1] > .9
        np.testing.assert_allclose(curve.inertia[0], KMeans(1).fit(X).inertia_)


@pytest.mark.parametrize('estimator', [AutoKMeans, AutoGaussianMixture])
@pytest.mark.parametrize('n', [2, 3, 10, 200])
def test_points_that_are_all_the_same(estimator, n):
    X = np.ones((n, 2))
    with pytest.raises(ValueError, match='at least 3 points, not all alike'):
        estimator().fit(X)
    with pytest.warns(UserWarning, match='n_clusters is 2, but only 1 of the points are different') as caught:
        model = estimator(2).fit(X)
    assert len(caught) == 1 and model.n_clusters_ == 1 and not model.labels_.any()


@pytest.mark.parametrize('estimator', [AutoKMeans, AutoGaussianMixture])
def test_few_different_points(estimator):
    X = np.repeat([[0.], [1], [5]], 20, axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert estimator().fit(X).n_clusters_ == 3
        assert elbow(X).n_clusters.tolist() == [1, 2, 3]
    with pytest.warns(UserWarning, match='only 3 of the points are different: they make 3 clusters') as caught:
        model = estimator(7).fit(X)
    assert len(caught) == 1 and model.n_clusters_ == len(set(model.labels_)) == 3


def test_hdbscan_tells_points_apart_however_far_away_others_are():
    plain = RescaledHDBSCAN(5).fit(blobs).labels_
    for far in (1e3, 1e6, 1e9, 1e12, 1e15, 1e21, 1e25, 1e40, 1e100):
        np.testing.assert_array_equal(RescaledHDBSCAN(5).fit(np.vstack([blobs, [[far, far]]])).labels_[:-1], plain)
    nearly_copies = np.repeat(np.eye(6), 30, axis=0) + np.random.default_rng(0).normal(0, 1e-17, (180, 6))
    assert RescaledHDBSCAN(5).fit(nearly_copies).n_clusters_ == 6
    assert RescaledHDBSCAN(5).fit(np.ones((20, 2))).n_clusters_ == 0


def test_graphs_from_elsewhere():
    few = blobs[:60]
    graph = graph_of_points(few)
    with_own = graph + diags_array(np.full(60, 7.))
    for same in (graph.tocoo(), graph.tocsc(), graph.toarray(), with_own):
        np.testing.assert_array_equal(check_graph(same, 60).toarray(), graph.toarray())
    np.testing.assert_allclose(check_graph(1e200 * graph, 60).toarray(), graph.toarray())
    for wrong, words in [(-graph, 'below 0'), (graph * np.nan, 'not a number'), (graph[:9], 'a row and a column'),
                         (csr_matrix(np.triu(graph.toarray())), 'the same of both ends')]:
        with pytest.raises(ValueError, match=words):
            AutoLouvain().fit(few, graph=wrong)
    np.testing.assert_array_equal(with_own.diagonal(), np.full(60, 7.)) # what was given is as it was


def test_a_graph_in_which_some_are_alone():
    few, few_truth = blobs[:60], truth[:60]
    graph = graph_of_points(few).tolil()
    graph[:5] = 0
    graph[:, :5] = 0
    model = AutoLouvain().fit(few, graph=graph)
    assert adjusted_rand_score(few_truth[5:], model.labels_[5:]) > .95
    assert all((model.labels_ == label).sum() == 1 for label in model.labels_[:5])
    with pytest.warns(UserWarning, match='no clusters were found'):
        assert AutoLouvain().fit(few, graph=csr_matrix((60, 60))).n_clusters_ == 1


@pytest.mark.parametrize('size', [10, 15])
@pytest.mark.parametrize('n_groups', [2, 3])
def test_small_groups_stay_whole(size, n_groups):
    "Two groups of 15 were up to nine communities while each point had three neighbours only."
    assert [choose_n_neighbors('auto', n) for n in (4, 6, 20, 49, 60, 100, 70_000)] == [2, 4, 5, 5, 6, 10, 10]
    for seed in range(2):
        middles = 12 * np.eye(n_groups)
        points = np.repeat(middles, size, axis=0) + np.random.default_rng(seed).normal(size=(size * n_groups, n_groups))
        model = AutoLouvain(seed=seed).fit(points)
        assert adjusted_rand_score(np.repeat(np.arange(n_groups), size), model.labels_) == 1


if __name__ == '__main__':
    numba.set_num_threads(1)
    failed = []
    for seed in range(N_SETS):
        try:
            check_set(seed)
        except AssertionError:
            failed.append(seed)
    print(f'{N_SETS - len(failed):,} of {N_SETS:,} sets are as in scikit-learn; not so: {failed}')
