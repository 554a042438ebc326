"Each parameter is declared once and refused in one sentence; every public function takes what people have."
import importlib
import inspect
import re
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.sparse import issparse
from sklearn import config_context
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection import RandomizedSearchCV
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

from mnist_clustering import communities
from mnist_clustering.agglomerative import cut_tree, largest_gap, plot_dendrogram, ward_linkage
from mnist_clustering.cnn import TRAINING, predict_classes, train_cnn
from mnist_clustering.communities import (
    closest_pairs,
    graph_of_points,
    kept_share,
    leaf_order,
    loosest_clusters,
    louvain,
    memberships,
    neighbor_graph,
    second_choices,
    stability_curve,
    tree_of_clusters,
)
from mnist_clustering.data import Images, as_labels, as_pixels, as_rows, as_stack, as_table, load_mnist
from mnist_clustering.dbscan import (
    count_clusters,
    mutual_reachability_tree,
    plot_memberships,
)
from mnist_clustering.deskew import deskew
from mnist_clustering.distortion import (
    choose_upright,
    distortion_neighbors,
    edges,
    preprocess,
)
from mnist_clustering.draw import (
    as_tiles,
    encode,
    find_classes,
    label_colors,
    montage,
    oklab,
    plot_curves,
    plot_map,
    plot_twin_maps,
    show_clusters,
    show_images,
    simulate_sight,
    spread_out,
)
from mnist_clustering.evaluation import (
    apply_names,
    as_clusters,
    as_names,
    cluster_accuracy,
    compare_distances,
    contingency,
    macro_purity,
    map_clusters,
    mean_of_nearest,
    number_labels,
    plot_confusion,
    purity,
    score,
    score_frozen,
    suspicion,
    suspicious,
)
from mnist_clustering.features import FEATURES, PixelFeatures
from mnist_clustering.images import OPTIONS, load_images
from mnist_clustering.interactive_map import interactive_map, rgba, save_map, sprite_sheets
from mnist_clustering.kmeans import (
    CLUSTERERS,
    elbow,
    fit_kmeans,
    show_cluster,
    silhouettes,
)
from mnist_clustering.label_free import surely_agree
from mnist_clustering.model import ClusterModel, read_names
from mnist_clustering.own_run import cluster_images
from mnist_clustering.parameters import LIMITS, Parameter, check_parameters
from mnist_clustering.report import Run, all_scores, read_scores, write_index, write_report
from mnist_clustering.second_look import second_look, shape_distances
from mnist_clustering.shapes import (
    DistortionFeatures,
    DistortionMap,
    containment,
    find_components,
    merge_contained,
    shared_components,
    vote,
    vote_weights,
)
from mnist_clustering.store import whole_file

DIGITS = load_mnist()[0][:60]
images, labels = DIGITS.images, DIGITS.labels.astype(int)
rng = np.random.default_rng(0)
middles = rng.normal(0, 9, (4, 3))
clusters = np.arange(60) % 4
points = middles[clusters] + rng.normal(size=(60, 3))
tree = ward_linkage(points)
neighbors, distances = distortion_neighbors(images, 5)
graph = neighbor_graph(neighbors, distances)
edge_maps, coarse, _ = preprocess(images, True, 1.)
names = map_clusters(labels, clusters)
named = apply_names(clusters, names)
suspects = suspicious(points, labels, named)


# What people have instead of an array

def as_list(array):
    return array.tolist()


def as_tuple(array):
    return tuple(array.tolist())


def as_frame(array):
    "A column or a table of pandas, with an index of its own; what has more dimensions is a list of arrays."
    index = np.arange(len(array))[::-1] + 7
    if array.ndim == 1:
        return pd.Series(array, index)
    return pd.DataFrame(array, index) if array.ndim == 2 else list(array)


def as_memmap(array):
    "Read-only, as np.load(mmap_mode='r') gives it; objects cannot be mapped."
    view = array.view(np.memmap) if array.dtype != object else array.copy()
    view.flags.writeable = False
    return view


def as_fortran(array):
    return np.asfortranarray(array)


FORMS = [as_list, as_tuple, as_frame, as_memmap, as_fortran]

CASES = {
    as_labels: [labels],
    as_stack: [images],
    as_pixels: [images],
    as_rows: [images],
    deskew: [images],
    simulate_sight: [rng.random((5, 3))],
    oklab: [rng.random((5, 3))],
    find_classes: [labels],
    encode: [labels, list(range(10))],
    label_colors: [labels],
    as_tiles: [images],
    montage: [images, 10],
    show_images: [images],
    show_clusters: [images, clusters],
    spread_out: [points[:5, :2], 3.],
    plot_map: [points[:, :2], labels],
    plot_twin_maps: [points[:, :2], named, labels],
    plot_curves: [points[:, 0], points[:, 1], points[:, 2], 'x', 'left', 'right'],
    as_clusters: [clusters],
    number_labels: [labels],
    contingency: [labels, clusters],
    map_clusters: [labels, clusters],
    apply_names: [clusters, names],
    as_names: [names, labels],
    cluster_accuracy: [labels, clusters],
    purity: [labels, clusters],
    macro_purity: [labels, clusters],
    score: [labels, clusters],
    score_frozen: [labels, clusters, labels, clusters],
    plot_confusion: [labels, named],
    compare_distances: [points[:, 0] ** 2, points[:, 1] ** 2],
    mean_of_nearest: [points ** 2],
    suspicion: [points, labels],
    suspicious: [points, labels, named],
    rgba: [np.array(['#112233', '#445566'])],
    show_cluster: [images, labels, clusters, 2],
    fit_kmeans: [points, 3, 2, 0],
    silhouettes: [points, [clusters, labels]],
    elbow: [points, range(1, 5)],
    cut_tree: [tree, 4],
    largest_gap: [tree[:, 2]],
    plot_dendrogram: [tree, images, 4],
    ward_linkage: [points],
    mutual_reachability_tree: [points, 3],
    count_clusters: [tree, 3],
    plot_memberships: [clusters, rng.random(60)],
    choose_upright: [images, 1., 2],
    distortion_neighbors: [images, 5],
    edges: [as_pixels(images)[..., 0]],
    preprocess: [images, True, 1.],
    neighbor_graph: [neighbors, distances],
    graph_of_points: [points, 5],
    kept_share: [clusters, labels],
    memberships: [graph, clusters],
    second_choices: [memberships(graph, clusters), clusters],
    closest_pairs: [graph, clusters],
    leaf_order: [tree[:, :2].astype(int), tree[:, 2]],
    tree_of_clusters: [points, clusters],
    loosest_clusters: [points, clusters],
    shape_distances: [images, labels, np.arange(5), labels[::-1][:5]],
    second_look: [suspects, images],
    find_components: [points],
    shared_components: [[clusters, labels]],
    merge_contained: [clusters, rng.random((4, 4)), rng.random(4)],
    vote_weights: [distances.astype(float)],
    vote: [clusters, neighbors, distances.astype(float)],
    surely_agree: [labels == labels],
    predict_classes: [rng.random((5, 8)), [rng.random((8, 3)), rng.random(3)]],
    all_scores: [labels[:30], labels[30:], clusters, clusters, names],
}


def in_form(value, form):
    "An argument in another form; what is no array stays, and a list may hold arrays."
    if isinstance(value, np.ndarray):
        return form(value)
    if isinstance(value, list) and value and isinstance(value[0], np.ndarray):
        return [form(array) for array in value]
    return value


def drawn(ax):
    "What a picture shows: numbers, texts and colours."
    shown = [image.get_array() for image in ax.images]
    shown += [line.get_xydata() for line in ax.lines]
    shown += [collection.get_offsets() for collection in ax.collections]
    shown += [np.array([patch.get_height() for patch in ax.patches if hasattr(patch, 'get_height')])]
    return shown, [text.get_text() for text in ax.texts]


def assert_same(one, other):
    "Are two results the same in every number?"
    assert type(one) is type(other)
    if isinstance(one, plt.Axes):
        one, other = drawn(one), drawn(other)
    if issparse(one):
        one, other = one.toarray(), other.toarray()
    if isinstance(one, pd.DataFrame):
        pd.testing.assert_frame_equal(one, other)
    elif isinstance(one, Images):
        assert_same([one.images, one.labels, one.names], [other.images, other.labels, other.names])
    elif isinstance(one, dict):
        assert list(one) == list(other)
        assert_same(list(one.values()), list(other.values()))
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for part, of_other in zip(one, other):
            assert_same(part, of_other)
    elif hasattr(one, 'components_') or hasattr(one, 'cluster_centers_'):
        name = 'components_' if hasattr(one, 'components_') else 'cluster_centers_'
        assert_same(getattr(one, name), getattr(other, name))
    else:
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize('form', FORMS, ids=lambda form: form.__name__)
@pytest.mark.parametrize('function', CASES, ids=lambda function: function.__name__)
@pytest.mark.filterwarnings('ignore::UserWarning')
def test_functions_take_what_people_have(function, form):
    arguments = CASES[function]
    wanted = function(*arguments)
    assert_same(function(*[in_form(argument, form) for argument in arguments]), wanted)
    plt.close('all')


def test_what_is_drawn_or_packed_takes_what_people_have():
    wanted = list(sprite_sheets(images))
    for form in FORMS:
        assert list(sprite_sheets(form(images))) == wanted
        assert np.array_equal(as_pixels(as_table(form(images))), as_pixels(images))


def hidden(values):
    "The same values, the first of them masked."
    masked = np.ma.array(values)
    masked[0] = np.ma.masked
    return masked


@pytest.mark.parametrize('use', [
    lambda: as_pixels(hidden(images)),
    lambda: as_table(hidden(images)),
    lambda: as_table(hidden(images.reshape(60, -1))),
    lambda: ClusterModel('pixels', 'ward', 3).fit(hidden(images)),
    lambda: ClusterModel(FunctionTransformer(), 'ward', 3).fit(hidden(images.reshape(60, -1))),
    lambda: ClusterModel('pixels', 'ward', 3).fit(images, hidden(labels)),
    lambda: PixelFeatures().fit(hidden(images.reshape(60, -1))),
    lambda: DistortionMap().fit(hidden(images)),
    lambda: score(hidden(labels), clusters),
    lambda: score(labels, hidden(clusters)),
])
def test_masked_values_are_refused(use):
    "NumPy would take what lies under the mask."
    with pytest.raises(ValueError, match='must have no masked values, and'):
        use()
    assert np.array_equal(as_pixels(np.ma.array(images)), as_pixels(images))


@pytest.mark.parametrize('form', [np.asarray, list, lambda images: images.reshape(60, -1),
                                  lambda images: pd.DataFrame(images.reshape(60, -1))])
@pytest.mark.parametrize('kind', [np.uint8, np.int64, '>u2', np.float64])
def test_images_of_next_to_no_ink_are_refused(kind, form):
    "Masks of 0 and 1, and pixels that were divided by 255 twice, gave clusters that mean nothing."
    masks = (images > 127).astype(kind)
    if kind is np.float64:
        masks /= 255
    for use in (as_pixels, ClusterModel('distortion', 'ward', 3).fit, DistortionMap().fit):
        with pytest.raises(ValueError, match='have full ink at .* scale them first, and give masks of 0 and 1 as bool'):
            use(form(masks))
    assert not as_pixels(0 * masks).any() and as_pixels(images > 127).max() == 1


@pytest.mark.parametrize('named', ['scans', Path('scans'), b'scans', ['scans/1.png', 'scans/2.png'], (Path('scans'),),
                                   np.array(['scans'])])
@pytest.mark.parametrize('use', [
    as_stack, as_pixels, as_rows, as_table, DistortionMap().fit, DistortionFeatures().fit,
    PixelFeatures().fit, ClusterModel('distortion').fit, ClusterModel('pixels', 'kmeans').fit,
    ClusterModel(FunctionTransformer(), 'kmeans').fit])
def test_names_of_images_are_no_images(use, named):
    with pytest.raises(ValueError, match=r"^(images|X) must be an array of pixels, not the name .*scans.*: "
                                         r'load_images reads folders and files$'):
        use(named)


@pytest.mark.parametrize('single', [None, 5, {'a': 1}, object()])
@pytest.mark.parametrize('use', [as_stack, as_pixels, as_rows, as_table, DistortionMap().fit, PixelFeatures().fit])
def test_a_single_value_is_no_images(use, single):
    with pytest.raises(ValueError, match=r'^images must have the shape .*, not \(\); '):
        use(single)


@pytest.mark.parametrize('use', [DistortionMap(), DistortionMap(method='western_digits'), DistortionFeatures(),
                                 ClusterModel('distortion'), ClusterModel('distortion', 'kmeans', 3)])
def test_images_that_differ_too_little_for_the_distortion_are_refused(use):
    "All distances would be 0, and the clusters those of the order of the images."
    alike = np.full((300, 28, 28), 200, np.uint8)
    alike.reshape(300, -1)[np.diag_indices(300)] += 1 # one pixel of each
    with pytest.raises(ValueError, match='^all images have the same edges: there is nothing to tell apart$'):
        use.fit(alike)
    alike[0, :14] = 0
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        use.fit(alike)


def test_images_are_real_numbers():
    for other in (images.astype(complex), images.astype(str), images.astype('M8[s]'), np.where(images, images, None)):
        with pytest.raises(ValueError, match='^images must be real numbers, not of type'):
            as_pixels(other)
    for other in (images, images / 255, images > 127): # numbers as Python has them
        assert np.array_equal(as_pixels(other.astype(object)), as_pixels(other))


@pytest.mark.parametrize('features', ['pixels', 'distortion'])
def test_the_model_is_the_same_whatever_set_output_says(features):
    model = ClusterModel(features, 'kmeans', 3).fit(images)
    wanted = model.predict(images), model.assess(images[:9]), model.in_doubt(), model.transform(images)
    with config_context(transform_output='pandas'):
        model = ClusterModel(features, 'kmeans', 3).fit(images)
        found = model.predict(images), model.assess(images[:9]), model.in_doubt(), model.transform(images)
    assert isinstance(model.points_, np.ndarray)
    assert_same(found, wanted)


def test_features_that_cannot_be_clustered_are_refused():
    rows = np.arange(60.).reshape(20, 3) % 7
    with pytest.raises(ValueError, match='^features must be dense'):
        ClusterModel(OneHotEncoder(), 'ward', 3).fit(rows)
    with np.errstate(all='ignore'), pytest.raises(ValueError, match='are not all finite numbers'):
        ClusterModel(FunctionTransformer(np.log), 'ward', 3).fit(rows)
    dots = np.zeros((12, 28, 28), np.uint8) # to the distortion model all are the same
    dots[np.arange(12), np.arange(12), np.arange(12)] = 255
    with pytest.raises(ValueError, match='all images have the same edges'):
        ClusterModel('distortion', 'ward', 3).fit(dots)


def test_where_all_is_noise_nothing_is_suggested():
    model = ClusterModel('pixels', 'hdbscan').fit(images[:8])
    assert model.n_clusters_ == 0
    assert list(model.suggestions()) == ['cluster', 'other', 'closeness'] and model.suggestions().empty
    assert (model.in_doubt().cluster == -1).all() and (model.assess(images[8:12]).cluster == -1).all()


def test_a_container_refuses_all_but_bytes():
    for other in (images.tolist(), images / 255, images.astype(int)):
        with pytest.raises(ValueError, match='^images must be uint8 from 0 to 255'):
            Images(other)
    assert np.array_equal(Images(list(images), pd.Series(labels, labels)).images, images)
    for one in (DIGITS[0], DIGITS[np.int64(0)], DIGITS[-60], DIGITS[(0,)], DIGITS[pd.Series([0])]):
        assert repr(one) == 'Images(1 images of 28x28 pixels, with labels)'


# Paths

def test_a_path_may_be_a_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = ClusterModel('pixels', 'ward', n_clusters=10).fit(images, labels)
    model.save('model')
    assert np.array_equal(ClusterModel.load('model').predict(images), model.predict(images))
    Path('other').mkdir()
    model.write('other')
    assert sorted(path.name for path in Path('other').iterdir()) == ['model.json', 'model.skops']
    Path('names').write_text('0 7\n')
    assert read_names('names', 10, labels) == {0: 7}
    layout = interactive_map(images.tolist(), pd.DataFrame(points[:, :2]), clusters.tolist(), pd.Series(labels, labels))
    save_map(layout, 'map.html', 'a map')
    assert '</html>' in Path('map.html').read_text(encoding='utf-8')
    with whole_file('whole') as part:
        part.write_text('all of it')
    assert Path('whole').read_text() == 'all of it'


def test_a_run_is_written_to_a_path_that_is_a_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = ClusterModel('pixels', 'ward', n_clusters=10).fit(images, labels)
    Path('run').mkdir()
    write_report('run', Run(model, DIGITS, DIGITS[:20]))
    assert read_scores('run') == read_scores(Path('run'))
    write_index('index.html', {'run': read_scores('run')})
    assert 'run/report.html' in Path('index.html').read_text(encoding='utf-8')


def test_images_come_from_anything_that_leads_to_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path('scans').mkdir()
    for i in range(5):
        Image.fromarray(255 - images[i]).save(f'scans/{i}.png')
    wanted = load_images(Path('scans')).images
    files = [f'scans/{i}.png' for i in range(5)]
    for source in ('scans', files, tuple(files), pd.Series(files, range(5, 0, -1)), np.array(files), iter(files)):
        assert np.array_equal(load_images(source).images, wanted)
    wanted = load_images(images[:5]).images
    for form in FORMS:
        assert np.array_equal(load_images(form(images[:5])).images, wanted)
    assert np.array_equal(load_images(as_frame(images[:5].reshape(5, -1))).images, wanted)
    for nothing in (3, None, 1.5):
        with pytest.raises(ValueError, match='is no source of images: give a folder'):
            load_images(nothing)


def test_own_runs_want_what_load_images_gives():
    for other in (images, DIGITS, images.tolist()):
        with pytest.raises(ValueError, match='^images must be what load_images gives, not '):
            cluster_images(other)


# Declarations

def public_estimators():
    "Every class of the package that is an estimator and can be fitted."
    found = {}
    for file in sorted((Path(__file__).parent.parent / 'mnist_clustering').glob('*.py')):
        module = importlib.import_module(f'mnist_clustering.{file.stem}')
        for name in getattr(module, '__all__', []):
            cls = getattr(module, name)
            if inspect.isclass(cls) and issubclass(cls, BaseEstimator) and hasattr(cls, 'fit'):
                found[name] = cls
    return found


ESTIMATORS = public_estimators()
SPECIAL = {'features', 'clusterer', 'features_params', 'clusterer_params'} # look_up knows what they may be
OF_IMAGES = {'CnnFeatures', 'MnistFeatures', 'LabelFreeFeatures', 'DistortionNeighbors', 'DistortionMap',
             'DistortionFeatures', 'PixelFeatures', 'DeskewedFeatures', 'ClusterModel'}
TRAINED = {'CnnFeatures', 'MnistFeatures', 'LabelFreeFeatures'} # it would take minutes to fit them


def fit(estimator):
    "Fitted to sixty images or points."
    return estimator.fit(images if type(estimator).__name__ in OF_IMAGES else points, labels)


def wrong_values(parameter, shape):
    "Values that make no sense, whatever else is declared."
    wrong = [np.inf, -np.inf, np.nan, 'mle', 'Auto', 'TRUE', '', b'auto', 1j, [1], (1, 2), {}, np.eye(2),
             np.array(['auto']), np.datetime64('2020'), print, 10 ** 400, -1, -.1]
    is_bool, is_int = isinstance(parameter.default, bool), isinstance(parameter.low, int)
    if not is_bool:
        wrong += [True, False, np.True_]
    if is_bool:
        wrong += [0, 1, np.int64(1), 'True']
    if is_int:
        wrong += [2.5, 2., np.float64(2), 1e9, 10., 5., parameter.low - 1, np.int64(parameter.low - 1), 1e20]
    if isinstance(parameter.low, float):
        wrong += [-1e-300, np.float32(-1)]
    if parameter.above is not None:
        wrong += [parameter.above, 0]
    if parameter.high is not None:
        wrong += [parameter.high + 1]
    if parameter.limit:
        wrong += [LIMITS[parameter.limit](*shape) + 1, 10 ** 9]
    if None not in (parameter.default, *parameter.choices):
        wrong += [None]
    return wrong


def right_values(parameter, shape):
    "Values that make sense, as people and random searches give them."
    right = [parameter.default, *parameter.choices]
    if isinstance(parameter.default, bool):
        right += [True, False, np.True_, np.False_]
    if isinstance(parameter.low, int):
        high = min(LIMITS[parameter.limit](*shape) if parameter.limit else 2 ** 31, parameter.high or 2 ** 31)
        right += [parameter.low, high, np.int64(parameter.low), np.uint8(min(high, 200)), np.int32(min(high, 200))]
    if isinstance(parameter.low, float) or parameter.above is not None:
        right += [.5, 1, np.int64(1), np.float32(.5), np.float64(.25)]
    if parameter.share:
        right += [1., .25, np.float32(.5), 1e-9]
    return right + [np.str_(word) for word in right if isinstance(word, str)]


SHAPES = {name: (60, 784 if name in OF_IMAGES else 3) for name in ESTIMATORS}
DECLARED = [(name, key) for name, cls in ESTIMATORS.items() for key in getattr(cls, 'parameters', {})]


@pytest.mark.parametrize('name', ESTIMATORS)
def test_every_parameter_of_every_estimator_is_declared(name):
    signature = inspect.signature(ESTIMATORS[name]).parameters
    declared = getattr(ESTIMATORS[name], 'parameters', {})
    assert declared.keys() == signature.keys() - SPECIAL
    for key, parameter in declared.items():
        assert isinstance(parameter, Parameter) and parameter.about
        assert parameter.default == signature[key].default, key


@pytest.mark.parametrize('name, key', DECLARED)
def test_wrong_values_are_refused_in_one_sentence(name, key):
    for value in wrong_values(ESTIMATORS[name].parameters[key], SHAPES[name]):
        with pytest.raises(ValueError) as refused:
            fit(ESTIMATORS[name](**other_parameters(name, key), **{key: value}))
        assert re.fullmatch(rf'{key} must be [^\n]+, not [^\n]+', str(refused.value)), value
        assert len(str(refused.value)) < 200


def other_parameters(name, key):
    "What else has to be said, so that only one parameter is wrong."
    return {'n_clusters': None} if (name, key) == ('Ward', 'distance_threshold') else {}


@pytest.mark.parametrize('name, key', DECLARED)
def test_right_values_come_out_as_python_has_them(name, key):
    cls = ESTIMATORS[name]
    for value in right_values(cls.parameters[key], SHAPES[name]):
        plain = vars(check_parameters(cls(**{key: value}), SHAPES[name]))[key]
        assert plain == value or plain == pytest.approx(value)
        assert type(plain) in (int, float, bool, str, type(None))


# Two values of each parameter that sixty points or images can be clustered with
SEARCHED = {
    'n_clusters': np.arange(2, 4), 'seed': np.array([0, 7]), 'fresh': np.array([False]), 'warp': np.array([1, 2]),
    'eps': np.array([1., 3.], np.float32), 'min_samples': np.array([2, 3], np.int32), 'distance_threshold': [None],
    'min_cluster_size': np.array([5, 6], np.uint16), 'n_components': np.array([2, 3]),
    'method': np.array(['communities']), 'n_neighbors': np.array([4, 5], np.int8)}


@pytest.mark.parametrize('name', sorted(ESTIMATORS.keys() - TRAINED))
@pytest.mark.filterwarnings('ignore::UserWarning')
def test_numbers_of_numpy_do_what_plain_ones_do(name, monkeypatch, tmp_path):
    monkeypatch.setenv('MNIST_CLUSTERING_CACHE', str(tmp_path))
    monkeypatch.setattr(communities, 'RESOLUTIONS', [.5, 1., 2.]) # few, to be quick
    cls = ESTIMATORS[name]
    searched = {key: SEARCHED[key] for key in getattr(cls, 'parameters', {})}
    fixed = {'features': 'pixels'} if name == 'ClusterModel' else {}
    numpy_numbers = {key: values[0] for key, values in searched.items()}
    plain_numbers = {key: getattr(value, 'item', lambda: None)() for key, value in numpy_numbers.items()}
    fitted = fit(clone(cls(**fixed, **numpy_numbers)))
    again = fit(cls(**fixed, **plain_numbers))
    if not searched:
        return
    for attribute in ('labels_', 'neighbors_', 'embedding_', 'components_'):
        if hasattr(fitted, attribute):
            assert np.array_equal(getattr(fitted, attribute), getattr(again, attribute))
    n_files = len(list(tmp_path.glob('*.npz')))
    fit(cls(**fixed, **plain_numbers))
    assert len(list(tmp_path.glob('*.npz'))) == n_files # the cache takes them for the same


@pytest.mark.parametrize('form', FORMS, ids=lambda form: form.__name__)
@pytest.mark.parametrize('name', sorted(ESTIMATORS.keys() - TRAINED))
@pytest.mark.filterwarnings('ignore::UserWarning')
def test_estimators_take_what_people_have(name, form, monkeypatch):
    monkeypatch.setattr(communities, 'RESOLUTIONS', [.5, 1., 2.])
    fixed = {'features': 'pixels'} if name == 'ClusterModel' else {}
    X = images if name in OF_IMAGES else points
    wanted, fitted = ESTIMATORS[name](**fixed).fit(X, labels), ESTIMATORS[name](**fixed).fit(form(X), form(labels))
    for attribute in ('labels_', 'neighbors_', 'embedding_', 'components_'):
        if hasattr(wanted, attribute):
            assert_same(getattr(fitted, attribute), getattr(wanted, attribute))
    for method in ('predict', 'transform'):
        if hasattr(wanted, method):
            assert_same(getattr(fitted, method)(form(X)), getattr(wanted, method)(X))


@pytest.mark.parametrize('name', sorted(ESTIMATORS.keys() - OF_IMAGES))
@pytest.mark.filterwarnings('ignore::UserWarning')
def test_random_searches_work(name, monkeypatch):
    monkeypatch.setattr(communities, 'RESOLUTIONS', [.5, 1., 2.])
    cls = ESTIMATORS[name]
    searched = {key: SEARCHED[key] for key in cls.parameters}
    search = RandomizedSearchCV(cls(), searched, n_iter=2, cv=2, random_state=0, error_score='raise',
                                scoring=lambda estimator, X, y=None: float(len(vars(estimator))))
    assert search.fit(points).best_estimator_.get_params().keys() == searched.keys()


# The registries

ENTRIES = [(registry, name, key) for registry in ('features', 'clusterer')
           for name, entry in {'features': FEATURES, 'clusterer': CLUSTERERS}[registry].items()
           for key in entry.parameters]


def test_entries_take_the_declarations_of_their_classes():
    for entry in FEATURES.values():
        declared = getattr(type(entry.make()), 'parameters', {})
        assert entry.parameters == {key: declared[key] for key in entry.parameters}
    for name, entry in CLUSTERERS.items():
        declared = getattr(type(entry.make(n=60)), 'parameters', None)
        assert declared or name == 'hdbscan', name # which is another library's
        if declared:
            assert entry.parameters == {key: declared[key] for key in entry.parameters}


@pytest.mark.parametrize('registry, name, key', ENTRIES)
def test_the_model_refuses_wrong_values_before_any_work(registry, name, key, monkeypatch):
    monkeypatch.setattr(ClusterModel, 'fit_features', lambda *_: pytest.fail('the work has begun'))
    parameter = {'features': FEATURES, 'clusterer': CLUSTERERS}[registry][name].parameters[key]
    for value in wrong_values(parameter, (60, 784)):
        model = ClusterModel(**{'features': 'pixels', registry: name, f'{registry}_params': {key: value}})
        with pytest.raises(ValueError, match=f'^{key} must be [^\n]+, not '):
            model.fit(images, labels)


@pytest.mark.parametrize('wrong, words', [
    (dict(features='smell'), 'features must be one of pixels'),
    (dict(features=3), 'features must be one of pixels'),
    (dict(features=['pixels']), 'features must be one of pixels'),
    (dict(features=None), 'features must be one of pixels'),
    (dict(features=FunctionTransformer(), features_params={'warp': 2}), 'features_params are for features with a name'),
    (dict(clusterer='magic'), 'clusterer must be one of kmeans'),
    (dict(clusterer={}), 'clusterer must be one of kmeans'),
    (dict(clusterer_params=[1]), 'parameters of clusterer kmeans must be a dict or None, not a list'),
    (dict(features_params='warp'), 'parameters of features distortion must be a dict or None, not a str'),
    (dict(clusterer_params={'eps': 1}), 'clusterer kmeans takes no parameters, not eps'),
    (dict(clusterer='louvain', n_clusters=3), 'n_clusters is not for louvain'),
    (dict(n_clusters=np.eye(2)), 'n_clusters must be auto or a whole number'),
    (dict(n_clusters=61), 'n_clusters must be auto or a whole number from 1 to 60 .the number of points., not 61'),
    (dict(features_params={'n_neighbors': 59}), 'n_neighbors must be .* from 1 to 58 .two less than the images., not'),
])
def test_the_model_says_what_is_wrong(wrong, words):
    with pytest.raises(ValueError, match=f'^{words}'):
        ClusterModel(**wrong).fit(images)


# What was accepted, or refused with a traceback, before parameters were declared

@pytest.mark.parametrize('name, wrong, words', [
    ('DistortionMap', dict(warp=1.5), 'warp must be a whole number from 0 to 3, not 1.5'),
    ('DistortionMap', dict(n_components=41), 'n_components must be auto or a whole number from 1 to 40, not 41'),
    ('DistortionMap', dict(n_components=59), 'n_components must be auto or a whole number from 1 to 40, not 59'),
    ('DistortionMap', dict(method='Auto'), "method must be one of communities, western_digits, not 'Auto'"),
    ('DistortionMap', dict(n_neighbors='Auto'),
     "n_neighbors must be auto or a whole number from 1 to 58 (two less than the images), not 'Auto'"),
    ('DistortionMap', dict(n_neighbors=True), 'not True'),
    ('DistortionMap', dict(seed=True), 'seed must be a whole number from 0 to 4,294,967,295, not True'),
    ('AutoDBSCAN', dict(min_cluster_size=-.1),
     'from 2 to 60 (the number of points) or a share above 0 and up to 1, not -0.1'),
    ('AutoDBSCAN', dict(min_cluster_size=5.), 'not 5.0'),
    ('AutoDBSCAN', dict(min_cluster_size=10.), 'not 10.0'),
    ('AutoDBSCAN', dict(min_cluster_size=1e9), 'not 1000000000.0'),
    ('AutoDBSCAN', dict(min_cluster_size=61), 'not 61'),
    ('AutoDBSCAN', dict(min_samples=61),
     'min_samples must be auto or a whole number from 1 to 60 (the number of points), not 61'),
    ('AutoDBSCAN', dict(eps=np.inf), 'eps must be auto or a number above 0, not inf'),
    ('NormalizedPCA', dict(n_components='mle'),
     "n_components must be auto or a whole number from 1 to 3 (the smaller of rows and columns), not 'mle'"),
    ('NormalizedPCA', dict(n_components=2.), 'not 2.0'),
    ('CnnFeatures', dict(epochs=0), 'epochs must be None or a whole number from 1 to 100,000, not 0'),
    ('CnnFeatures', dict(network='slow'), "network must be one of simple, fast, not 'slow'"),
    ('AutoLouvain', dict(n_neighbors=60),
     'n_neighbors must be auto or a whole number from 1 to 59 (one less than the points), not 60'),
    ('Ward', dict(n_clusters=61),
     'n_clusters must be None, auto or a whole number from 1 to 60 (the number of points), not 61'),
    ('Ward', dict(n_clusters=None), 'exactly one of n_clusters and distance_threshold must be given'),
    ('Ward', dict(distance_threshold=1.), 'exactly one of n_clusters and distance_threshold must be given'),
    ('AutoKMeans', dict(n_clusters=61),
     'n_clusters must be auto or a whole number from 1 to 60 (the number of points), not 61'),
])
def test_what_went_wrong_once(name, wrong, words):
    with pytest.raises(ValueError) as refused:
        fit(ESTIMATORS[name](**wrong))
    assert words in str(refused.value)


@pytest.mark.parametrize('n', [5, 10])
def test_few_western_digits_have_no_nan(n):
    model = DistortionMap(method='western_digits', fresh=True).fit(images[:n])
    assert not np.isnan(model.ratios_).any() and not np.isnan(model.limits_).any()
    assert (model.ratios_.diagonal() == 1).all()
    assert np.array_equal(model.labels_, model.component_labels_) # too few to say that one contains the other


def test_the_largest_seed_gives_a_map():
    assert DistortionFeatures(seed=2 ** 32 - 1).fit(images).embedding_.shape == (60, 10)


# Functions

@pytest.mark.parametrize('seed', [-1, 2 ** 32, 1.5, True, 'x', np.nan, [1]])
def test_functions_refuse_wrong_seeds(seed):
    for call in (lambda: elbow(points, seed=seed), lambda: show_images(images, seed=seed),
                 lambda: stability_curve(graph, seed), lambda: louvain(graph, 1., seed),
                 lambda: train_cnn(images, labels, seed=seed)):
        with pytest.raises(ValueError, match='^seed must be (None or )?a whole number from 0 to 4,294,967,295, not '):
            call()


@pytest.mark.parametrize('k', [0, -1, 1.5, True, 'x', np.nan])
def test_the_elbow_tries_numbers_of_clusters(k):
    with pytest.raises(ValueError, match=r'^each of ks must be a whole number of at least 1, not '):
        elbow(points, ks=[2, k])
    assert elbow(points, ks=np.arange(1, 4)).n_clusters.tolist() == [1, 2, 3]


def test_functions_take_seeds_of_numpy():
    for make in (lambda seed: elbow(points, range(1, 4), seed), lambda seed: louvain(graph, 1., seed),
                 lambda seed: show_images(images, 9, seed),
                 lambda seed: containment(edge_maps, coarse, clusters, 2, seed)):
        assert_same(make(np.int64(3)), make(3))
    plt.close('all')


@pytest.mark.parametrize('key', TRAINING)
def test_training_refuses_wrong_values(key):
    for value in wrong_values(TRAINING[key], (60, 784)):
        with pytest.raises(ValueError, match=f'^{key} must be '):
            train_cnn(images, labels, **{key: value})


@pytest.mark.parametrize('key', OPTIONS)
def test_reading_refuses_wrong_values(key):
    boolean = OPTIONS[key].choices == (True, False)
    for value in wrong_values(OPTIONS[key], (60, 784)):
        if boolean and isinstance(value, bool | np.bool_):
            continue
        with pytest.raises(ValueError, match=f'^{key} must be '):
            load_images(images, **{key: value})


def test_pictures_refuse_wrong_counts():
    for call, name in ((lambda k: show_images(images, k), 'k'), (lambda k: show_clusters(images, clusters, k), 'k'),
                       (lambda k: montage(images, k), 'columns')):
        for wrong in (-1, 2.5, 'x', True, None):
            with pytest.raises(ValueError, match=f'^{name} must be a whole number of at least [01], not '):
                call(wrong)
