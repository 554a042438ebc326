"""What people hit who cluster images, as they told it in public, and what happens here: a table in bench/reports.md.

    python bench/reports.py [name …] [--write]

Each function is one thread. Its docstring says what people hit, then what happens here, then where they told it; its
code tries the same on this package. `--write` makes bench/reports.md from these and from ELSEWHERE, the threads that
other tests cover.
"""
import json
import os
import re
import subprocess
import sys
import tracemalloc
import warnings
from argparse import ArgumentParser
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from inspect import getdoc, isfunction, signature
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from unittest.mock import patch

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from PIL import Image
from scipy.sparse import csr_matrix
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.preprocessing import FunctionTransformer

from mnist_clustering.agglomerative import Ward
from mnist_clustering.cli import read_rows
from mnist_clustering.communities import AutoLouvain
from mnist_clustering.data import as_pixels, load_mnist
from mnist_clustering.dbscan import AutoDBSCAN
from mnist_clustering.draw import plot_map, show_clusters
from mnist_clustering.evaluation import score, suspicious
from mnist_clustering.features import PixelFeatures
from mnist_clustering.images import load_images
from mnist_clustering.interactive_map import interactive_map, save_map
from mnist_clustering.kmeans import CLUSTERERS, AutoGaussianMixture, AutoKMeans, silhouettes
from mnist_clustering.model import ClusterModel
from mnist_clustering.own_run import OwnRun, cluster_images
from mnist_clustering.prepare import NormalizedPCA
from mnist_clustering.review import Corrections, apply_corrections, export_folders
from mnist_clustering.shapes import DistortionFeatures

HERE = Path(__file__).parent
GITHUB = 'https://github.com'


# what the threads below share

def three_groups(n=60, d=4, seed=0):
    "Points in three round groups that nobody could confuse."
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(center, .3, (n, d)) for center in (0, 5, 10)])


def fitted(clusterer, points):
    "A model of rows of numbers, which is told that there are three groups if its clusterer wants to know."
    n_clusters = 'auto' if CLUSTERERS[clusterer].finds_n_clusters else 3
    return ClusterModel(FunctionTransformer(), clusterer, n_clusters).fit(points)


def same_groups(one, other):
    "Do two clusterings differ in their numbers alone?"
    return score(one, other)['ari'] == 1


def outcome(model, points):
    "What a model makes of points: their clusters, numbered as they first appear, or their places on a map."
    made = model.fit(points)
    return made.transform(points) if hasattr(made, 'transform') else pd.factorize(made.labels_)[0]


@contextmanager
def refused(*words):
    "What is inside must raise a ValueError with these words."
    try:
        yield
    except ValueError as error:
        assert all(word in str(error) for word in words), error
        return
    raise AssertionError('it was not refused')


@contextmanager
def in_silence():
    "No warning may come from what is inside."
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        yield


@contextmanager
def memory_below(megabytes):
    "What is inside may hold so much memory at a time."
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()
    assert peak < megabytes, f'{peak:.0f} MB'


def in_a_new_program(code, **variables):
    "What a program prints that runs for two minutes at most; a variable that is None is not set."
    environment = {name: value for name, value in (os.environ | variables).items() if value is not None}
    ended = subprocess.run([sys.executable, '-c', code], env=environment, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def digits(n):
    "The first training images, and what they show."
    train, _ = load_mnist()
    return train.images[:n], train.labels[:n]


def save_scan(file, digit, invert=True, size=(60, 60), at=(16, 16)):
    "A digit as a scan: dark on white paper, or light on black."
    file.parent.mkdir(parents=True, exist_ok=True)
    scan = np.zeros(size, np.uint8)
    scan[at[0]:at[0] + 28, at[1]:at[1] + 28] = digit
    Image.fromarray(255 - scan if invert else scan).save(file)


# clusterers

def fewer_points_than_clusters():
    """Ten clusters are asked of 17 points of which only nine differ: some clusters stay empty, and nothing says so.

    Refused in one sentence: from 1 to 9, the number of points without copies.
    https://github.com/scikit-learn/scikit-learn/issues/10059
    """
    points = np.array([(1086, 348), (1087, 347), (1190, 244), (1190, 244), (1086, 348), (1185, 249), (1193, 241),
                       (1185, 249), (1087, 347), (1188, 247), (1187, 233), (26, 111), (26, 111), (26, 110)])
    n_different = len(np.unique(points, axis=0))
    with refused('n_clusters', f'from 1 to {n_different}'):
        ClusterModel(FunctionTransformer(), 'kmeans', 10).fit(points)
    assert ClusterModel(FunctionTransformer(), 'ward', n_different).fit(points).n_clusters_ == n_different


def more_clusters_than_points():
    """More clusters than points are asked for, and the error names neither the number nor its limit.

    Refused in one sentence, with the number and its limit.
    https://github.com/gagolews/genieclust/issues/85
    """
    for estimator in (AutoKMeans(9), AutoGaussianMixture(9), Ward(9)):
        with refused('n_clusters', 'from 1 to 5', 'not 9'):
            estimator.fit(np.arange(10.).reshape(5, 2))


def exactly_the_number_that_was_told():
    """People know how many clusters they want, and find no way to say it.

    Right: n_clusters=8 gives eight.
    https://github.com/erdogant/clustimage/issues/17
    """
    images, _ = digits(200)
    for clusterer in ('kmeans', 'ward', 'gaussian_mixture'):
        assert ClusterModel('pixels', clusterer, n_clusters=8).fit(images).n_clusters_ == 8


def a_number_where_the_clusterer_finds_it():
    """The number of clusters is given to HDBSCAN as its smallest size, and it finds another number.

    Refused in one sentence: the clusterer finds the number itself.
    https://github.com/TutteInstitute/fast_hdbscan/issues/14
    """
    for clusterer in ('hdbscan', 'dbscan', 'louvain'):
        with refused('finds the number itself'):
            ClusterModel(FunctionTransformer(), clusterer, n_clusters=3).fit(three_groups())


def dense_points_and_a_wide_radius():
    """DBSCAN keeps all neighbours of all points, fills 256 GB with 12 MB of points, and is killed.

    Right: 10,000 points that are all neighbours take less than 40 MB instead of 800.
    https://github.com/scikit-learn/scikit-learn/issues/22531
    """
    points = np.random.default_rng(0).random((10_000, 3))
    with memory_below(40):
        found = AutoDBSCAN(eps=2, min_samples=9).fit(points)
    assert found.n_clusters_ == 1 and not found.labels_.any()


def a_tree_of_many_points():
    """Agglomerative clustering wants memory for every pair of points before it begins.

    Right: the tree of 15,000 points takes less than 30 MB; their pairs would take 900.
    https://github.com/scipy/scipy/issues/12944
    """
    points = np.random.default_rng(0).random((15_000, 3))
    with memory_below(30):
        tree = Ward(7).fit(points)
    assert tree.n_clusters_ == 7


def silhouettes_of_many_points():
    """The silhouette of 30,000 points wants all their distances at once: MemoryError.

    Right: the distances are looked at by 500 rows at a time.
    https://github.com/scikit-learn/scikit-learn/issues/10279
    """
    points = np.random.default_rng(0).random((8_000, 2))
    with memory_below(120): # all distances are 512 MB
        mean, = silhouettes(points, [(points[:, 0] > .5).astype(int)])
    assert .2 < mean < .6


def one_cluster_has_no_silhouette():
    """Where every number of clusters is tried, one cluster, or one for each point, ends the program.

    Right: such a number has no silhouette and is not chosen; identical points are refused in one sentence.
    https://github.com/pytorch/ignite/issues/3641
    """
    points = three_groups(5)
    alone = silhouettes(points, [np.zeros(15, int), np.arange(15)])
    assert np.isnan(alone).all()
    assert AutoKMeans().fit(points).n_clusters_ == 3
    with refused('not all alike'):
        AutoKMeans().fit(np.ones((15, 2)))


def the_same_seed():
    """The same seed gives the same clusters with other numbers, depending on how the threads ran.

    Right: the same numbers, on any number of cores.
    https://github.com/scikit-learn/scikit-learn/issues/20216
    """
    points = np.random.default_rng(2).normal(size=(400, 2))
    for clusterer in CLUSTERERS:
        first, second = (fitted(clusterer, points).labels_ for _ in range(2))
        assert (first == second).all(), clusterer


def predict_agrees_with_fit():
    """fit_predict and fit followed by predict do not agree on the same points.

    Right: they agree, for each clusterer.
    https://github.com/scikit-learn/scikit-learn/issues/12644
    """
    points = three_groups()
    for clusterer in CLUSTERERS:
        model = fitted(clusterer, points)
        assert (model.predict(points) == model.labels_).all(), clusterer
        assert (fitted(clusterer, points).labels_ == model.labels_).all(), clusterer


def a_fork_after_a_fit():
    """KMeans or a mixture was fitted, the program forks, and the fit of the child waits for ever.

    Right: both answer, since they use one thread.
    https://github.com/scikit-learn/scikit-learn/issues/19272
    """
    code = '''
import multiprocessing
import numpy as np
from mnist_clustering.kmeans import AutoGaussianMixture, AutoKMeans
def fit(seed):
    points = np.random.default_rng(0).random((500, 2))
    return AutoKMeans(3, seed).fit(points).n_clusters_ + AutoGaussianMixture(3, seed).fit(points).n_clusters_
fit(0)
with multiprocessing.get_context('fork').Pool(2) as pool:
    print(pool.map(fit, range(4)))
'''
    assert in_a_new_program(code).strip() == '[6, 6, 6, 6]'


def fits_in_several_threads():
    """Several threads fit KMeans at a time, and all of them stop for ever.

    Right: four threads fit eight times, with the results of one.
    https://github.com/ncoevoet/facet/issues/55
    """
    points = three_groups(200)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda seed: AutoKMeans(3, seed).fit(points).labels_, [0] * 8))
    assert all((labels == found[0]).all() for labels in found)


def single_precision_far_from_zero():
    """Distances of float32 points that lie far from zero are wrong, many of them 0.

    Right: three groups around 10,000 are three groups.
    https://github.com/scikit-learn/scikit-learn/issues/9354
    """
    points = three_groups()
    moved = (points + 10_000).astype(np.float32)
    for clusterer in ('kmeans', 'gaussian_mixture', 'dbscan', 'ward'):
        assert same_groups(fitted(clusterer, points).labels_, fitted(clusterer, moved).labels_), clusterer


def numbers_too_large():
    """Numbers near the largest that there are give overflows, then a MemoryError on a few rows.

    Right, or refused in one sentence.
    https://github.com/scikit-learn/scikit-learn/issues/17960
    """
    points = three_groups()
    for model in (AutoDBSCAN(), Ward(3), AutoKMeans(3), NormalizedPCA()):
        usual = outcome(model, points)
        for size in (1e150, 1e298, 1e306):
            try:
                found = outcome(model, points * size)
            except ValueError as error:
                assert size == 1e306 and 'too large' in str(error), (model, size)
            else:
                assert np.allclose(found, usual), (model, size)


def a_chain_between_two_clusters():
    """Each image resembles the next, and all end in one group of tens of thousands.

    Right: DBSCAN returns as many clusters as the radius gives that it says it has chosen.
    https://github.com/0x90d/videoduplicatefinder/issues/306
    """
    rng = np.random.default_rng(0)
    blobs = [rng.normal(center, .3, (300, 2)) for center in (0, 6)]
    chain = np.column_stack([np.linspace(.8, 5.2, 9)] * 2)
    found = AutoDBSCAN().fit(np.concatenate([*blobs, chain]))
    assert found.n_clusters_ == found.plateaus_.n_clusters[0] == 2


# noise

def noise_is_given_to_the_nearest_cluster():
    """Some points are noise, but each of them is needed in some group.

    Right: assign_noise=True gives each to its nearest cluster; the noise of the fit stays marked.
    https://github.com/scikit-learn-contrib/hdbscan/issues/470
    """
    points = np.concatenate([three_groups(), np.random.default_rng(1).uniform(-3, 13, (20, 4))])
    for clusterer in ('dbscan', 'hdbscan'):
        model = fitted(clusterer, points)
        assert (model.labels_ < 0).any(), clusterer
        everyone = model.predict(points, assign_noise=True)
        assert (everyone >= 0).all() and (everyone == model.labels_)[model.labels_ >= 0].all(), clusterer


def noise_is_not_hidden():
    """A quarter of the images was noise, was silently given to the nearest cluster, and blew one of them up.

    Right: noise is -1 in every table, and coverage tells its share.
    https://github.com/enjalot/latent-scope/issues/143
    """
    points = np.concatenate([three_groups(), np.random.default_rng(1).uniform(-3, 13, (20, 4))])
    model = fitted('hdbscan', points)
    noise = model.labels_ < 0
    assert (model.clusterer_.labels_[noise] == -1).all()
    assert score(np.zeros(len(points)), model.labels_)['coverage'] == (~noise).mean() < 1


def scores_with_noise():
    """Scores are computed with noise as if it were a cluster, or without it, and nobody knows which is right.

    Right: noise is an error for accuracy and purity, and coverage is said beside them.
    https://github.com/scikit-learn-contrib/hdbscan/issues/283
    """
    found = score(['a', 'a', 'b', 'b'], [0, 0, 1, -1])
    assert found['accuracy'] == .75 and found['coverage'] == .75


def nothing_but_noise():
    """Everything comes back as noise, and nothing says why.

    Refused in one sentence: to this clusterer all images are noise; choose another.
    https://github.com/scikit-learn-contrib/hdbscan/issues/224
    """
    images, _ = digits(5)
    rows = np.array([[1, 0, 1], [0, 1, 0], [1, 1, 1], [0, 0, 1], [1, 1, 0]], float)
    with refused('hdbscan finds no cluster', 'all images are noise'):
        cluster_images(load_images(images), clusterer='hdbscan', rows=rows)


def no_cluster_to_draw():
    """There is no cluster at all, and the picture of the clusters ends with an IndexError.

    Right: an empty picture; a map is all grey.
    https://github.com/elcorto/imagecluster/pull/17
    """
    images, _ = digits(30)
    nothing = np.full(30, -1)
    for draw in (lambda: show_clusters(images, nothing), lambda: plot_map(np.random.rand(30, 2), nothing)):
        plt.close(draw().figure)


# copies

def copies_share_a_cluster():
    """Exact copies end in different clusters.

    Right: a copy is in the cluster of its original.
    https://github.com/scikit-learn-contrib/hdbscan/issues/548
    """
    points = np.random.default_rng(0).random((150, 2))
    twice = np.concatenate([points, points])
    for clusterer in CLUSTERERS:
        labels = fitted(clusterer, twice).labels_
        assert (labels[:150] == labels[150:]).all(), clusterer


def many_copies():
    """Many copies make a density infinite, and the picture of the tree dies of it.

    Right: copies count once; the same clusters are found, and drawn.
    https://github.com/scikit-learn-contrib/hdbscan/issues/94
    """
    points = three_groups()
    many = np.concatenate([points, *[points[:50]] * 7])
    for clusterer in ('dbscan', 'hdbscan', 'ward', 'louvain'):
        model = fitted(clusterer, many)
        assert model.n_clusters_ == 3, clusterer
        if clusterer != 'ward': # whose picture wants images
            draw = CLUSTERERS[clusterer].picture
            plt.close(draw(model.clusterer_, model.points_).figure) if draw else None


def the_smallest_size():
    """Groups of exactly the smallest size are no clusters: the size is meant, but one more is wanted.

    Right: five points are a cluster where the smallest size is five, and are none where it is six.
    https://github.com/scikit-learn-contrib/hdbscan/issues/10
    """
    points = three_groups(5)
    for size, n_clusters in ((5, 3), (6, 0)):
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            found = AutoDBSCAN(eps=3, min_samples=size, min_cluster_size=size).fit(points)
        assert found.n_clusters_ == n_clusters


# later images

def later_points_of_dbscan():
    """DBSCAN cannot say to which cluster a new point belongs.

    Right: predict gives the cluster of the nearest core point, or noise if none is near.
    https://github.com/apple/turicreate/issues/1896
    """
    points = three_groups()
    found = AutoDBSCAN().fit(points)
    near, far = found.predict([points[0] + .01, [99.] * 4])
    assert near == found.labels_[0] and far == -1


def later_points_of_hdbscan():
    """Predicting with HDBSCAN needs data that had to be asked for before the fit.

    Right: nothing has to be asked for.
    https://github.com/scikit-learn-contrib/hdbscan/issues/249
    """
    points = three_groups()
    model = fitted('hdbscan', points)
    assert (model.predict(points + .001) == model.labels_).all()


def no_new_clusters_for_later_points():
    """45 clusters were fitted, and new points come back in 232.

    Right: only clusters of the fit are given, or none.
    https://github.com/scikit-learn-contrib/hdbscan/issues/375
    """
    anywhere = np.random.default_rng(1).uniform(-5, 15, (300, 4))
    for clusterer in CLUSTERERS:
        model = fitted(clusterer, three_groups())
        assert set(model.predict(anywhere).tolist()) <= {-1, *model.labels_.tolist()}, clusterer


def strangers_are_none_of_these():
    """A kind that the fit has never seen is put into the middle of the others.

    Right: `assess` says -1, and names the nearest as second choice.
    https://github.com/lmcinnes/umap/issues/358
    """
    for clusterer in CLUSTERERS:
        found = fitted(clusterer, three_groups()).assess(np.full((1, 4), 30.))
        assert found.cluster[0] == -1 and found.second_choice[0] >= 0, clusterer


def a_single_image():
    """One image is given where several are expected, and the error speaks of dimensions or of 28 features.

    Refused in one sentence: put a single image into a list.
    https://github.com/scikit-learn-contrib/hdbscan/issues/320
    """
    images, _ = digits(60)
    model = ClusterModel('pixels', 'kmeans', 3).fit(images)
    readers = [model.predict, model.assess, model.transform, PixelFeatures().fit(images).transform]
    for read in readers:
        for one in (images[0], images[0].ravel()):
            with refused('put a single image into a list'):
                read(one)
        assert len(read([images[0]])) == 1


def later_images_change_nothing():
    """To add an image, everything must be clustered anew.

    Right: later images are assigned, and the fitted ones keep their clusters.
    https://github.com/elcorto/imagecluster/issues/2
    """
    images, _ = digits(120)
    model = ClusterModel('pixels', 'ward', 6).fit(images[:100])
    before = model.labels_.copy()
    assert len(model.predict(images[100:])) == 20
    assert (model.labels_ == before).all()


def the_map_stays():
    """Transforming new points moves the fitted ones on the map.

    Right: the map of the fitted images is the same afterwards, to the last bit.
    https://github.com/lmcinnes/umap/issues/384
    """
    images, _ = digits(120)
    features = DistortionFeatures().fit(images[:60])
    before = features.embedding_.copy()
    features.transform(images[60:])
    assert (features.embedding_ == before).all()


# wrong and unusual input

def too_few_images():
    """A handful of images is fewer than the neighbours that are looked for, and the eigenvalues fail.

    Right from four different images on; fewer are refused in one sentence.
    https://github.com/lmcinnes/umap/issues/201
    """
    images, _ = digits(12)
    for n in (4, 5, 12):
        assert ClusterModel().fit(images[:n]).n_clusters_ >= 2
    with refused('at least 4 images'):
        ClusterModel().fit(images[:3])
    for clusterer in CLUSTERERS:
        with refused('at least 3 different images', '1 sample'):
            ClusterModel(FunctionTransformer(), clusterer).fit(np.ones((20, 3)))


def missing_numbers():
    """The error says that a number is missing, infinite or too large, but not where.

    Refused in one sentence; a file of features is told by its row.
    https://github.com/scikit-learn/scikit-learn/issues/10039
    """
    points = three_groups()
    points[7, 2] = np.nan
    for clusterer in CLUSTERERS:
        with refused('NaN'):
            fitted(clusterer, points)
    with TemporaryDirectory() as folder:
        file = Path(folder, 'rows.npy')
        np.save(file, points)
        with refused('row 7', 'NaN'):
            read_rows(file)


def images_with_nan():
    """NaN among the vectors goes in, and NaN comes out as the distance.

    Refused in one sentence.
    https://github.com/facebookresearch/faiss/issues/2723
    """
    images, _ = digits(20)
    broken = images / 255
    broken[3, 5, 5] = np.nan
    with refused('no NaN'):
        ClusterModel('distortion', 'kmeans', 3).fit(broken)


def any_order_in_memory():
    """An array in another order of memory is refused as not contiguous, or read as if it were.

    Right: the same clusters for rows in any order of memory, mirrored views and tables.
    https://github.com/facebookresearch/faiss/issues/1941
    """
    points = three_groups()
    wide = np.repeat(points, 2, axis=1)
    ways = np.asfortranarray(points), wide[:, ::2], points[::-1][::-1], pd.DataFrame(points)
    for clusterer in ('kmeans', 'gaussian_mixture', 'dbscan', 'hdbscan', 'ward'):
        expected = fitted(clusterer, points).labels_
        for given in ways:
            assert (fitted(clusterer, given).labels_ == expected).all(), clusterer
    images, _ = digits(40)
    labels = ClusterModel(n_clusters=4).fit(images).labels_
    assert (ClusterModel(n_clusters=4).fit(np.asfortranarray(images)).labels_ == labels).all()


def columns_in_another_order():
    """The columns of a table come in another order than at the fit, and the answer is silently wrong.

    Refused in one sentence of scikit-learn: they must be in the same order.
    https://github.com/scikit-learn/scikit-learn/issues/7242
    """
    table = pd.DataFrame(three_groups() * [1, 2, 3, 4], columns=list('abcd'))
    for clusterer in CLUSTERERS:
        model = fitted(clusterer, table)
        with refused('same order'):
            model.predict(table[list('dcba')])


def names_of_columns():
    """A table was fitted and the same table is predicted, and a warning says that its columns have no names.

    Right: no warning.
    https://github.com/scikit-learn/scikit-learn/issues/21188
    """
    table = pd.DataFrame(three_groups(), columns=list('abcd'))
    for clusterer in CLUSTERERS:
        model = fitted(clusterer, table)
        with in_silence():
            assert (model.predict(table) == model.labels_).all()
            model.assess(table)
        assert model.feature_names_in_.tolist() == list('abcd')


def bytes_and_shares():
    """Is ink 255 or 1, and paper 0? Pixels of the wrong range are taken, and the answers are wrong.

    Right: integers are read as 0 to 255, decimals as 0 to 1; decimals up to 255 are refused in one sentence.
    https://github.com/makeyourownneuralnetwork/makeyourownneuralnetwork/issues/46
    """
    images, _ = digits(30)
    assert np.array_equal(as_pixels(images), as_pixels((images / 255).astype(np.float32)))
    assert np.array_equal(as_pixels(images), as_pixels(images.astype(int)))
    with refused('must have pixels from 0 to 1', 'scale them first'):
        as_pixels(images.astype(float))


def labels_that_are_words():
    """Labels must be numbers from 0 on, so everybody writes a table of their words.

    Right: any values are labels, words too.
    https://github.com/cleanlab/cleanlab/issues/375
    """
    images, labels = digits(60)
    words = np.array(['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine'])[labels]
    model = ClusterModel('pixels', 'kmeans', 10).fit(images, words)
    assert set(model.names_.values()) <= set(words)
    named = np.array([model.names_.get(cluster) for cluster in model.labels_.tolist()], object)
    assert set(suspicious(model.points_, words, named).other) <= set(words)


# the libraries below

def wide_indices_and_whole_numbers():
    """Louvain ends with a TypeError, because a graph holds numbers of a type that it has no function for.

    Right: a graph with indices of 64 bits and whole numbers as weights is divided.
    https://github.com/sknetwork-team/scikit-network/issues/578
    """
    n, pairs = 40, [(i, j) for i in range(40) for j in range(40) if i != j and i // 10 == j // 10]
    rows, columns = np.array(pairs).T
    graph = csr_matrix((np.ones(len(pairs), int), (rows, columns)), shape=(n, n))
    graph.indices, graph.indptr = graph.indices.astype(np.int64), graph.indptr.astype(np.int64)
    found = AutoLouvain().fit(np.zeros((n, 2)), graph=graph)
    assert same_groups(found.labels_, np.arange(n) // 10)


def a_graph_without_edges():
    """A graph has no edges, and Louvain divides by zero.

    Right: one cluster, and a warning that none was found.
    https://github.com/networkx/networkx/issues/6790
    """
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter('always')
        found = AutoLouvain().fit(np.zeros((10, 2)), graph=csr_matrix((10, 10)))
    assert found.n_clusters_ == 1
    assert 'no clusters were found' in str(said[0].message)


def edges_in_another_order():
    """The same graph and the same seed give other communities if the edges come in another order.

    Right: the same communities.
    https://github.com/networkx/networkx/issues/6655
    """
    points = three_groups()
    first = AutoLouvain().fit(points)
    turned = first.graph_.tocoo()
    order = np.random.default_rng(0).permutation(turned.nnz)
    graph = csr_matrix((turned.data[order], (turned.row[order], turned.col[order])), shape=turned.shape)
    assert (AutoLouvain().fit(points, graph=graph).labels_ == first.labels_).all()


# saved models

def a_saved_model_in_another_program():
    """There is no way to save a clustering today, and to ask it about new images tomorrow.

    Right: a saved model answers the same in another program.
    https://github.com/scikit-learn-contrib/hdbscan/issues/38
    """
    with TemporaryDirectory() as folder:
        points = three_groups()
        model = fitted('hdbscan', points)
        model.save(Path(folder, 'model'))
        np.save(Path(folder, 'points.npy'), points + .1)
        code = f'''
import numpy as np
from mnist_clustering.model import ClusterModel
model = ClusterModel.load({folder!r} + '/model')
print(model.assess(np.load({folder!r} + '/points.npy')).to_json(double_precision=15))
'''
        answered = pd.DataFrame(json.loads(in_a_new_program(code))).reset_index(drop=True)
        expected = model.assess(points + .1)
    assert (answered.cluster == expected.cluster).all()
    assert np.allclose(answered.strangeness, expected.strangeness, rtol=1e-12)


def no_list_of_types_to_trust():
    """A saved model cannot be read until a list of its inner types is given.

    Right: each clusterer is read without any list, and what is none of ours is refused.
    https://github.com/skops-dev/skops/issues/498
    """
    points = three_groups()
    for clusterer in CLUSTERERS:
        with TemporaryDirectory() as folder:
            model = fitted(clusterer, points)
            model.save(Path(folder, 'model'))
            again = ClusterModel.load(Path(folder, 'model'))
        assert (again.predict(points) == model.predict(points)).all(), clusterer


def another_version_of_scikit_learn():
    """A model comes from another version of scikit-learn, and breaks or answers wrongly without a word.

    Right: scikit-learn's warning names both versions, and model.json holds those of all libraries.
    https://github.com/scikit-learn/scikit-learn/issues/20306
    """
    with TemporaryDirectory() as folder:
        model = fitted('kmeans', three_groups())
        with patch('sklearn.base.__version__', '1.0'):
            model.save(Path(folder, 'model'))
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter('always')
            ClusterModel.load(Path(folder, 'model'))
        about = json.loads(Path(folder, 'model', 'model.json').read_text())
    assert any(issubclass(warning.category, InconsistentVersionWarning) for warning in said)
    assert {'scikit-learn', 'numpy', 'scipy'} <= set(about['versions'])


# files

def nothing_in_the_folder(folder):
    """No image of the folder was read, and the error comes a step later and speaks of zero-size arrays.

    Refused in one sentence: the folder holds no images.
    https://github.com/erdogant/clustimage/issues/14
    """
    with refused('holds no images'):
        load_images(folder)
    (folder / 'notes.txt').write_text('nothing')
    with refused('holds no images'):
        load_images(folder)


def a_broken_file(folder):
    """One file of 200 is cut short, and the whole run ends.

    Right: it is skipped, with its name and the reason.
    https://github.com/elcorto/imagecluster/issues/3
    """
    images, _ = digits(5)
    for number, image in enumerate(images):
        save_scan(folder / f'{number}.png', image)
    whole = (folder / '3.png').read_bytes()
    (folder / '3.png').write_bytes(whole[:len(whole) // 2])
    read = load_images(folder)
    assert len(read) == 4 and read.skipped.name.tolist() == ['3.png'] and read.skipped.reason[0]


def what_systems_leave_behind(folder):
    """.DS_Store, Thumbs.db and files that begin with ._ are taken for images, and end the run.

    Right: they are left out.
    https://github.com/ml4a/ml4a/issues/49
    """
    images, _ = digits(1)
    save_scan(folder / 'a.png', images[0])
    for name in ('.DS_Store', 'Thumbs.db', '._a.png', '__MACOSX/._a.png'):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b'\0\5\26\7')
    read = load_images(folder)
    assert read.names.tolist() == ['a.png'] and not len(read.skipped)


def names_in_any_script(folder):
    """Images are not read if their names hold other letters than English ones, or an emoji.

    Right: they are read, and keep their names (tried on Linux).
    https://github.com/visual-layer/fastdup/issues/161
    """
    images, _ = digits(4)
    names = ['love🙏.png', 'テスト.png', 'ключ номер 5.png', 'größe %20 #1.png']
    for name, image in zip(names, images):
        save_scan(folder / 'Ω' / name, image)
    read = load_images(folder)
    assert sorted(read.names) == sorted(f'Ω/{name}' for name in names)


def folders_called_by_numbers(folder):
    """Folders called 1 to 100 are sorted 1, 10, 100, 11, and the labels are shifted against them.

    Right: the label of an image is the name of its folder, and images come in the order in which people count.
    https://github.com/pytorch/vision/issues/714
    """
    images, _ = digits(3)
    for name, image in zip(('1', '2', '10'), images):
        save_scan(folder / name / 'a.png', image)
    read = load_images(folder, labels='folders')
    assert read.labels.tolist() == ['1', '2', '10']
    assert read.names.tolist() == ['1/a.png', '2/a.png', '10/a.png']


def dark_on_light_and_light_on_dark(folder):
    """A network that knows MNIST must be given one's own digits inverted, and nobody says so.

    Right: both ways to draw a digit give the same image.
    https://github.com/EN10/KerasMNIST/issues/1
    """
    images, _ = digits(10)
    for number, image in enumerate(images):
        save_scan(folder / 'dark' / f'{number}.png', image)
        save_scan(folder / 'light' / f'{number}.png', image, invert=False)
    dark, light = load_images(folder / 'dark'), load_images(folder / 'light')
    assert np.array_equal(dark.images, light.images)
    assert dark.done.inverted.all() and not light.done.inverted.any()


def drawn_in_a_corner(folder):
    """A digit that is drawn in a corner is taken for another one.

    Right: ink is moved into the middle.
    https://github.com/ShafeenTejani/mnist-demo/issues/2
    """
    images, _ = digits(1)
    for number, at in enumerate([(0, 0), (72, 0), (30, 72), (36, 36)]):
        save_scan(folder / f'{number}.png', images[0], size=(100, 100), at=at)
    read = load_images(folder)
    assert all(np.array_equal(image, read.images[0]) for image in read.images)


def transparent_background(folder):
    """A transparent background becomes black, so black ink on it is gone.

    Right: it is laid on paper of the colour that lets the ink be seen.
    https://github.com/image-rs/image/issues/1466
    """
    images, _ = digits(1)
    save_scan(folder / 'paper.png', images[0])
    ink = np.zeros((60, 60, 4), np.uint8)
    ink[16:44, 16:44, 3] = images[0]
    Image.fromarray(ink).save(folder / 'transparent.png')
    paper, transparent = load_images(folder).images
    assert np.array_equal(paper, transparent)


# names and folders

def names_that_are_numbers():
    """A cluster is named by a number, is mixed up with the cluster of that number, and its images vanish.

    Right: cluster and name are two things; each image keeps both.
    https://github.com/nextcloud/recognize/issues/555
    """
    images, _ = digits(60)
    read = load_images(images)
    model = cluster_images(read, 'pixels', 'ward', 3)
    digests = read.done.digest.to_numpy()
    told = [dict(name='1', none=False, members=digests[model.labels_ == 0].tolist())]
    expected = model.labels_.copy()
    table = OwnRun(read, model, Corrections(told, [])).table
    assert (table.cluster.to_numpy() == expected).all()
    assert (table.name[expected == 0] == '1').all() and table.name[expected != 0].isna().all()


def two_clusters_of_one_name(folder):
    """Two clusters get the same name, and the images of one of them are gone.

    Right: both keep their images, and these are put into one folder.
    https://github.com/nextcloud/recognize/issues/695
    """
    digests = np.array(list('abcd'))
    told = [dict(name='Ann', none=False, members=['a', 'b']), dict(name='Ann', none=False, members=['c', 'd'])]
    clusters, names, _ = apply_corrections(Corrections(told, []), np.array([0, 0, 1, 1]), digests)
    assert clusters.tolist() == [0, 0, 1, 1] and names == {0: 'Ann', 1: 'Ann'}
    files = [folder / f'{digest}.png' for digest in digests]
    for file in files:
        file.write_bytes(file.name.encode())
    export_folders(folder / 'sorted', files, [names[cluster] for cluster in clusters], 'copy')
    assert len(list((folder / 'sorted' / 'Ann').iterdir())) == 4


def files_of_one_name(folder):
    """Files of the same name come from two folders into one, and the second replaces the first.

    Right: both are there, and nothing that lies there already is replaced.
    https://github.com/Legendsmith/Simple-Image-Sorter/issues/13
    """
    files = [folder / name / 'test.png' for name in ('one', 'two')]
    for file in files:
        file.parent.mkdir()
        file.write_text(file.parent.name)
    (folder / 'sorted' / 'A').mkdir(parents=True)
    (folder / 'sorted' / 'A' / 'test.png').write_text('of yours')
    for how in ('copy', 'link'):
        export_folders(folder / 'sorted', files, ['A', 'A'], how)
        inside = [file.read_text() for file in (folder / 'sorted' / 'A').iterdir()]
        assert {'one', 'two', 'of yours'} == set(inside)
    assert (folder / 'sorted' / 'A' / 'test.png').read_text() == 'of yours'


def counts_add_up():
    """The largest cluster is said to hold 171 % of the images.

    Right: the sizes add up to the number of images, copies and blank ones included.
    https://github.com/visual-layer/fastdup/issues/306
    """
    images, _ = digits(100)
    images = np.concatenate([images, images[:30], np.zeros((3, 28, 28), np.uint8)])
    model = ClusterModel('pixels', 'kmeans', 5).fit(images)
    assert np.bincount(model.labels_).sum() == len(images)
    assert model.n_clusters_ == len(np.unique(model.labels_)) == 6


# pictures and pages

def no_screen():
    """On a server without a screen the first picture ends the program.

    Right: pictures are drawn into files.
    https://github.com/matplotlib/matplotlib/issues/6739
    """
    code = '''
import io
import numpy as np
from mnist_clustering.draw import plot_map
plot_map(np.eye(4)[:, :2], np.arange(4)).figure.savefig(io.BytesIO())
print('drawn')
'''
    assert in_a_new_program(code, DISPLAY=None, MPLBACKEND=None).strip() == 'drawn'


def a_map_of_two_images(folder):
    """Two images in a cluster are too few for its outline, and the map fails.

    Right: a map of two images, each alone in its cluster.
    https://github.com/pleonard212/pix-plot/issues/177
    """
    images, _ = digits(2)
    save_map(interactive_map(images, np.array([[0., 0], [1, 1]]), np.array([0, 1])), folder / 'map.html', 'Two')
    assert (folder / 'map.html').stat().st_size > 10_000


def without_a_network(folder):
    """Without a connection nothing runs, because a model wants to be downloaded.

    Right: reading, clustering, saving and the map open no connection.
    https://github.com/immich-app/immich/issues/24208
    """
    images, _ = digits(40)
    np.save(folder / 'images.npy', images)
    code = f'''
import socket
def refuse(*_, **__):
    raise AssertionError('a connection was opened')
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
from pathlib import Path
from mnist_clustering.images import load_images
from mnist_clustering.interactive_map import interactive_map, save_map
from mnist_clustering.own_run import cluster_images
folder = Path({str(folder)!r})
read = load_images(folder / 'images.npy')
model = cluster_images(read, n_clusters=4)
model.save(folder / 'model')
save_map(interactive_map(read.images, model.points_[model.point_of_][:, :2], model.labels_), folder / 'map.html', 'Map')
print(model.n_clusters_)
'''
    assert in_a_new_program(code).strip() == '4'
    assert not re.search('<(script|link|img)[^>]*(src|href)="?http', (folder / 'map.html').read_text())


def pictures_in_pages():
    """A page shows the words <Figure size 640x480 with 1 Axes> in place of the picture.

    Right: each such output has its picture.
    https://github.com/AnswerDotAI/nbdev/issues/1420
    """
    for _, cell in cells_of_pages():
        for output in cell.get('outputs', []):
            data = output.get('data', {})
            if '<Figure size' in ''.join(data.get('text/plain', '')):
                assert 'image/png' in data


def pages_on_github():
    """GitHub shows no notebook whose metadata hold widgets without their state, as a bar leaves them.

    Right: no page has metadata of widgets.
    https://github.com/huggingface/cookbook/pull/342
    """
    for page, cell in cells_of_pages():
        assert 'widgets' not in page['metadata'] and 'widgets' not in cell['metadata']


def cells_of_pages():
    "Each cell of each notebook, with its notebook."
    for file in sorted((HERE.parent / 'nbs').glob('*.ipynb')):
        page = json.loads(file.read_text(encoding='utf-8'))
        for cell in page['cells']:
            yield page, cell


# threads that other tests cover: where, what people hit, what happens here, and the test
ELSEWHERE = [
    ('scikit-learn/scikit-learn/issues/31407', 'The system kills the program where memory ends, and nothing says why.',
     'Refused in one sentence before the work starts.',
     'test_machine.py: test_what_cannot_fit_is_refused_before_it_starts'),
    ('erdogant/clustimage/issues/18', 'Reading 30,000 to 50,000 images ends with a MemoryError.',
     'Right: memory grows by 784 bytes for each image.',
     'test_images.py: test_memory_grows_by_the_result_alone'),
    ('lightly-ai/lightly-studio/pull/1765', 'An image that unpacks to more than memory holds ends the run.',
     'Right: it is skipped, with the reason, before it is unpacked.',
     'test_images.py: test_a_decompression_bomb_is_refused_before_it_is_unpacked'),
    ('huggingface/datasets/issues/6252', 'Photographs lie on their side, because what the camera says is not read.',
     'Right: they are turned.', 'test_images.py: test_a_picture_that_lies_on_its_side_is_turned'),
    ('python-pillow/Pillow/issues/2574', 'Grey images of 16 bits become white.',
     'Right: their range is scaled.', 'test_images.py: test_sixteen_bits_may_hold_fewer'),
    ('alephdata/aleph/issues/20', 'Of a TIFF file with many pages only the first is read.',
     'Right: each page is an image.', 'test_images.py: test_pages_are_images_and_small_copies_are_not'),
    ('pleonard212/pix-plot/issues/141', '100,000 images were read, then the run stopped; must all be read again?',
     'Right: what was read is kept.', 'test_images.py: test_a_reading_that_was_killed_goes_on'),
    ('pleonard212/pix-plot/issues/260', 'The clusters are seen on a page, but there is no table of them.',
     'Right: labels.csv and labels.parquet.',
     'test_own_run.py: test_a_folder_becomes_pure_clusters_and_all_files'),
    ('Tony607/Keras_Deep_Clustering/issues/11', 'How do I get a folder for each cluster?',
     'Right: --export makes one for each name, and tells first what it would do.',
     'test_own_run.py: test_export_is_told_first_and_replaces_nothing'),
    ('erdogant/clustimage/issues/19', 'My own features cluster better, but only images are taken.',
     'Right: a row of numbers for each image.', 'test_own_run.py: test_features_of_ones_own'),
    ('nextcloud/recognize/issues/391', 'What was taken out of a cluster is back in it after the next clustering.',
     'Right: corrections are kept.', 'test_own_run.py: test_corrections_are_kept_when_images_are_added'),
    ('matiasdelellis/facerecognition/issues/421', 'One image was to be renamed, all of the cluster were, and there is '
     'no way back.', 'Right: images are moved one by one, and every step is undone.',
     'test_review.py: test_everything_is_undone_and_done_again'),
    ('matiasdelellis/facerecognition/issues/558', 'A wrong image cannot be taken out of a cluster before it is named.',
     'Right: it is moved, or marked as none of these.', 'test_review.py: test_images_are_moved_by_clicks'),
    ('lmcinnes/umap/issues/853', 'Another number of cores gives another map, in spite of the seed.',
     'Right: the same bytes.', 'test_label_free.py: test_one_core_and_two_give_the_same_bytes'),
    ('lmcinnes/umap/issues/741', 'Points that hardly differ from fitted ones land far away from them.',
     'Right: a fitted image keeps its place, and a new one lies among its neighbours.',
     'test_label_free.py: test_a_fitted_image_keeps_its_own_place'),
    ('keras-team/keras/issues/2280', 'Training with the same seed gives another network each time.',
     'Right: the same network, on any number of cores.',
     'test_tensorflow.py: test_one_core_trains_the_same_network_as_all'),
    ('keras-team/keras/issues/4875', 'A saved network answers differently when it is loaded.',
     'Right: the features of a saved model are those of the fitted one.',
     'test_own_run.py: test_a_run_on_mnist_is_a_model_for_ones_own_digits'),
    ('keras-team/keras/issues/18955', 'Keras is told to use another library than TensorFlow, and its import fails.',
     'Refused in one sentence.', 'test_tensorflow.py: test_another_backend_of_keras_is_refused_in_one_sentence'),
    ('keras-team/keras/issues/20414', 'channels_first in the settings of Keras ends training on a processor.',
     'Right: these settings change nothing.', 'test_tensorflow.py: test_keras_json_changes_nothing'),
    ('AnswerDotAI/nbdev/issues/1034', 'Two notebooks write the same module, and half of its functions are gone.',
     'Does not apply: each page has a module of its own.',
     'test_house.py: test_every_page_makes_its_module_and_every_module_has_a_page'),
    ('AnswerDotAI/nbdev/issues/744', 'A notebook is deleted, and its module stays.',
     'Does not apply: no module is without a page.',
     'test_house.py: test_every_page_makes_its_module_and_every_module_has_a_page'),
]


def threads():
    "The function of each thread, by its name, in the order of this file."
    return {name: thing for name, thing in globals().items()
            if isfunction(thing) and thing.__module__ == __name__ and GITHUB in (getdoc(thing) or '')}


def told(function):
    "Of a thread: what people hit, what happens here, and the link."
    hit, here = getdoc(function).split('\n\n')
    *here, link = here.splitlines()
    return ' '.join(hit.split()), ' '.join(here), link


def attempt(function):
    "Try one thread in an empty folder."
    if not signature(function).parameters:
        return function()
    with TemporaryDirectory() as folder:
        return function(Path(folder))


def table():
    "The text of reports.md."
    rows = [(*told(function), f'reports.py: {name}') for name, function in threads().items()]
    rows += [(hit, here, f'{GITHUB}/{place}', f'tests/{test}') for place, hit, here, test in ELSEWHERE]
    lines = ['# What people hit, and what happens here', '',
             f'{len(rows)} public threads of people who cluster images, or of the libraries that do it. Each was tried '
             'on this package. The table is made by `python bench/reports.py --write`, and each line is checked by '
             '`make test`.', '',
             '| what people hit | what happens here | thread | tested in |', '|---|---|---|---|']
    for hit, here, link, test in rows:
        owner, name, _, number = link.removeprefix(f'{GITHUB}/').split('/')
        where = test.replace(': ', ': `') + '`'
        lines.append(f'| {hit} | {here} | [{name} #{number}]({link}) | {where} |'.replace('<', '&lt;'))
    return '\n'.join(lines) + '\n'


def main():
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('names', nargs='*', help='only these')
    parser.add_argument('--write', action='store_true', help='write bench/reports.md')
    options = parser.parse_args()
    failed = 0
    for name, function in threads().items():
        if options.names and name not in options.names:
            continue
        start, ended = perf_counter(), 'as it should be'
        try:
            attempt(function)
        except Exception as error: # the others are tried all the same
            ended = f'{type(error).__name__}: {error}'
            failed += 1
        print(f'{name} ({perf_counter() - start:.1f} s): {ended}', flush=True)
    if options.write:
        (HERE / 'reports.md').write_text(table(), encoding='utf-8')
    sys.exit(failed > 0)


if __name__ == '__main__':
    main()
