"""All 70,000 digits on one map, clustered three ways: what the site's interactive map is made of, in bench/map.npz.

It takes some minutes where the network has to be trained.
"""
import numpy as np
from sklearn.decomposition import PCA

from mnist_clustering.data import load_mnist
from mnist_clustering.evaluation import suspicion
from mnist_clustering.model import CLUSTERERS, ClusterModel

train, test = load_mnist()
model = ClusterModel('cnn')
points = model.fit_features(train.images, train.labels)
new_points = model.transform(test.images)
found = {}
for clusterer in ('kmeans', 'dbscan', 'ward'):
    entry = CLUSTERERS[clusterer]
    model.set_params(clusterer=clusterer, n_clusters='auto').fit_clusters(points)
    found[entry.title] = np.concatenate([model.labels_, model.assign(new_points)]).astype(np.int8)
every = np.concatenate([points, new_points])
np.savez_compressed('bench/map.npz', xy=PCA(2, random_state=0).fit_transform(every).astype(np.float16),
                    suspicion=suspicion(every, (train + test).labels).astype(np.float16), **found)
