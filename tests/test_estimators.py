"scikit-learn's own checks of what calls itself an estimator. Each exception is named, with its reason."
import warnings

import numpy as np
import pytest
from sklearn.utils.estimator_checks import check_estimator

from mnist_clustering.agglomerative import Ward
from mnist_clustering.dbscan import AutoDBSCAN
from mnist_clustering.features import CnnFeatures
from mnist_clustering.kmeans import AutoGaussianMixture, AutoKMeans
from mnist_clustering.label_free import LabelFreeFeatures
from mnist_clustering.prepare import NormalizedPCA
from mnist_clustering.shapes import DistortionMap

# These checks fit tables of one to ten columns, which are no images: what reads images refuses them, as they should.
# OnTables, below, draws the tables as images and so runs the same checks on what comes after the refusal.
NO_IMAGES = '''check_fit_score_takes_y check_estimators_overwrite_params check_dont_overwrite_parameters check_estimators_fit_returns_self
    check_readonly_memmap_input check_n_features_in_after_fitting check_positive_only_tag_during_fit check_estimators_dtypes check_dtype_object
    check_pipeline_consistency check_estimators_nan_inf check_estimators_pickle check_f_contiguous_array_estimator check_methods_sample_order_invariance
    check_methods_subset_invariance check_fit2d_1sample check_fit2d_1feature check_dict_unchanged check_fit_idempotent check_fit_check_is_fitted
    check_n_features_in check_fit2d_predict1d'''.split()
NO_IMAGES_FEATURES = [*NO_IMAGES, 'check_transformer_data_not_an_array', 'check_transformer_general']
NO_IMAGES_CLUSTERED = [*NO_IMAGES, 'check_clustering']


class OnTables(CnnFeatures):
    "Draws each row of a small table as the first pixels of an image."
    def _rows(self, X): return X

    def _pixels(self, X):
        pixels = np.zeros((len(X), 784), np.float32)
        pixels[:, :np.shape(X)[1]] = 1 / (1 + np.exp(-np.asarray(X, float)))
        return pixels.reshape(-1, 28, 28, 1)


@pytest.mark.parametrize('network', ['fast', 'simple'])
def test_cnn_features(network):
    check_estimator(CnnFeatures(network, epochs=1), expected_failed_checks=dict.fromkeys(NO_IMAGES_FEATURES, 'feeds tables that are no images'), on_skip=None)


def test_cnn_features_on_tables():
    check_estimator(OnTables(epochs=1), on_skip=None, expected_failed_checks={
        'check_methods_sample_order_invariance': 'asks for equality to 1e-9, but float32 sums differ by 1e-7 with the place in the batch'})


@pytest.mark.parametrize('estimator, named', [(DistortionMap(), NO_IMAGES_CLUSTERED), (LabelFreeFeatures(), NO_IMAGES_FEATURES)], ids=repr)
def test_without_a_label(estimator, named):
    check_estimator(estimator, expected_failed_checks=dict.fromkeys(named, 'feeds tables that are no images'), on_skip=None)


@pytest.mark.parametrize('estimator, named', [(CnnFeatures(epochs=1), NO_IMAGES_FEATURES), (DistortionMap(), NO_IMAGES_CLUSTERED), (LabelFreeFeatures(), NO_IMAGES_FEATURES)], ids=repr)
def test_no_exception_is_named_in_vain(estimator, named):
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        results = check_estimator(estimator, on_fail=None, on_skip=None)
    assert {result['check_name'] for result in results if result['status'] == 'failed'} == set(named)


# Ward with a distance_threshold is not here: the checks set n_clusters on their own, which contradicts it (as in scikit-learn's AgglomerativeClustering)
@pytest.mark.parametrize('estimator', [NormalizedPCA(), NormalizedPCA(1), AutoKMeans(), AutoKMeans(2), AutoGaussianMixture(),
                                       AutoGaussianMixture(2), AutoDBSCAN(), AutoDBSCAN(eps=.5, min_samples=5), Ward(), Ward(n_clusters=2)], ids=repr)
@pytest.mark.filterwarnings('ignore:no (eps|gap) stands out')
def test_prepare_and_clusterers(estimator):
    check_estimator(estimator, on_skip=None)
