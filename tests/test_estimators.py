"scikit-learn's own checks of what calls itself an estimator. Each exception is named, with its reason."
import warnings

import numpy as np
import pytest
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import check_estimator
from threadpoolctl import threadpool_limits

from mnist_clustering import cnn
from mnist_clustering.agglomerative import Ward
from mnist_clustering.communities import AutoLouvain
from mnist_clustering.data import SIZE
from mnist_clustering.dbscan import AutoDBSCAN, RescaledHDBSCAN
from mnist_clustering.deskew import deskew
from mnist_clustering.distortion import DistortionNeighbors
from mnist_clustering.features import FEATURES, CnnFeatures, DeskewedFeatures, Features, MnistFeatures, PixelFeatures
from mnist_clustering.kmeans import AutoGaussianMixture, AutoKMeans
from mnist_clustering.label_free import LabelFreeFeatures
from mnist_clustering.model import ClusterModel
from mnist_clustering.prepare import NormalizedPCA
from mnist_clustering.shapes import DistortionFeatures, DistortionMap

# These checks fit tables of one to ten columns, which are no images: what reads images refuses them, as it should.
# Two tests below give tables to the network and to the model nevertheless, and run the same checks behind the refusal.
NO_IMAGES = '''
    check_fit_score_takes_y check_estimators_overwrite_params check_dont_overwrite_parameters
    check_estimators_fit_returns_self check_readonly_memmap_input check_n_features_in_after_fitting
    check_positive_only_tag_during_fit check_estimators_dtypes check_dtype_object check_pipeline_consistency
    check_estimators_nan_inf check_estimators_pickle check_f_contiguous_array_estimator
    check_methods_sample_order_invariance check_methods_subset_invariance check_fit2d_1sample check_fit2d_1feature
    check_dict_unchanged check_fit_idempotent check_fit_check_is_fitted check_n_features_in
    check_fit2d_predict1d'''.split()
OF_FEATURES = ['check_transformer_data_not_an_array', 'check_transformer_general']
OF_CLUSTERERS = ['check_clustering']
READ_IMAGES = [
    (CnnFeatures('fast', epochs=1), OF_FEATURES),
    (CnnFeatures('simple', epochs=1), OF_FEATURES),
    (MnistFeatures(), OF_FEATURES),
    (PixelFeatures(), OF_FEATURES),
    (DeskewedFeatures(), OF_FEATURES),
    (DistortionNeighbors(), []),
    (DistortionFeatures(), OF_FEATURES),
    (LabelFreeFeatures(), OF_FEATURES),
    (DistortionMap(), OF_CLUSTERERS),
    (ClusterModel(features='pixels'), OF_FEATURES + OF_CLUSTERERS),
]
READ_TABLES = [
    NormalizedPCA(),
    NormalizedPCA(1),
    AutoKMeans(),
    AutoKMeans(2),
    AutoGaussianMixture(),
    AutoGaussianMixture(2),
    AutoLouvain(),
    AutoDBSCAN(),
    AutoDBSCAN(eps=.5, min_samples=5),
    RescaledHDBSCAN(),
    Ward(),
    Ward(n_clusters=2), # none with a distance_threshold: the checks set n_clusters themselves, which contradicts it
]


@pytest.mark.parametrize('estimator, named', READ_IMAGES, ids=[repr(estimator) for estimator, _ in READ_IMAGES])
def test_what_reads_images_fails_the_checks_with_tables_and_no_others(estimator, named):
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        results = check_estimator(estimator, on_fail=None, on_skip=None)
    failed = {result['check_name'] for result in results if result['status'] == 'failed'}
    expected = {*NO_IMAGES, *named}
    if isinstance(estimator, ClusterModel): # which refuses one row before it looks at its length
        expected -= {'check_fit2d_1sample'}
    assert failed == expected


@pytest.mark.parametrize('estimator', READ_TABLES, ids=repr)
@pytest.mark.filterwarnings('ignore:no (eps|gap) stands out')
def test_what_reads_tables_passes_all_checks(estimator):
    with threadpool_limits(1): # the tables are tiny: threads would only wait for each other
        check_estimator(estimator, on_skip=None)


class OnTables(CnnFeatures):
    "Draws each row of a small table as the first pixels of an image."
    def _rows(self, X):
        return X

    def _pixels(self, X):
        pixels = np.zeros((len(X), SIZE * SIZE), np.float32)
        pixels[:, :np.shape(X)[1]] = 1 / (1 + np.exp(-np.asarray(X, float)))
        return pixels.reshape(-1, SIZE, SIZE, 1)


def train_in_this_process(pixels, labels, validation, **recipe):
    "A process for each of a hundred small trainings would take two minutes; test_tensorflow looks at such processes."
    return cnn.train_network(deskew(pixels)[..., np.newaxis], labels, **recipe) | dict(seconds=np.array(1.))


def test_the_network_on_tables(monkeypatch):
    monkeypatch.setattr(cnn, 'fit_network', train_in_this_process)
    check_estimator(OnTables(epochs=1), on_skip=None, expected_failed_checks={
        'check_methods_sample_order_invariance':
            'asks for equality to 1e-9, but float32 sums differ by 1e-7 with the place in the batch'})


@pytest.mark.parametrize('prepare', [False, True])
def test_the_model_on_tables(monkeypatch, prepare):
    as_they_are = Features(make=lambda seed, fresh: FunctionTransformer(), about='rows as they are', prepare=prepare,
                          of_images=False)
    monkeypatch.setitem(FEATURES, 'rows', as_they_are)
    check_estimator(ClusterModel('rows', 'ward', n_clusters=2), on_skip=None, expected_failed_checks={
        'check_fit_score_takes_y': 'asks for a parameter named y, and here it is named labels',
        'check_transformer_data_not_an_array': 'feeds an object that refuses to say how many dimensions it has'})
