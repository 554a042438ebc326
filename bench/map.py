"All 70,000 digits on one map, clustered three ways: what the site's page to touch is made of, in map.npz; some minutes when the network is trained."
import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA

from mnist_clustering.agglomerative import Ward
from mnist_clustering.data import load_mnist
from mnist_clustering.dbscan import AutoDBSCAN
from mnist_clustering.evaluation import suspicion
from mnist_clustering.features import CnnFeatures
from mnist_clustering.prepare import NormalizedPCA

train, test = load_mnist()
cnn = CnnFeatures(network='fast', seed=0).fit(train.images, train.labels)
prepare = NormalizedPCA().fit(cnn.transform(train.images))
points, new_points = (prepare.transform(cnn.transform(part.images)) for part in (train, test))
models = {'KMeans': KMeans(10, n_init=4, random_state=0), 'DBSCAN': AutoDBSCAN(), 'Ward': Ward()}
found = {name: np.concatenate([model.fit(points).labels_, model.predict(new_points)]).astype(np.int8) for name, model in models.items()}
every = np.concatenate([points, new_points])
np.savez_compressed('bench/map.npz', xy=PCA(2, random_state=0).fit_transform(every).astype(np.float16),
                    suspicion=suspicion(every, (train + test).labels).astype(np.float16), **found)
