"""What the second opinion of networks does to the clusters of other images: better, worse, or not asked.

    python bench/second_opinion.py FOLDER… [--out bench/second_opinion.csv]

Each .npz in the folders holds `images` (n, 28, 28) uint8 and `labels`; the 10,000 test images of MNIST come last. The
labels are looked at once, at the end of a row, for its scores: accuracy is of the best pairs of clusters and labels.
`asked` is False where networks and neighbours do not surely agree, so that the clusters stay those of the map. The
columns that begin with `sum` say what the second opinion would have done if it was followed everywhere. The last two
are the accuracy of KMeans that is told how many characters there are: on the map, and on the network's features.
"""
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from fastcore.script import Param, call_parse
from sklearn.cluster import KMeans
from sklearn.metrics import normalized_mutual_info_score

from mnist_clustering.data import load_mnist
from mnist_clustering.evaluation import cluster_accuracy, purity
from mnist_clustering.label_free import LabelFreeFeatures, surely_agree
from mnist_clustering.shapes import vote


class KeepsOpinions(LabelFreeFeatures):
    "Keeps what the networks say of images that they have not seen."
    def _cross_fit(self, X, clusters):
        self.networks_say_ = super()._cross_fit(X, clusters)
        return self.networks_say_


def three_scores(labels, clusters, suffix):
    "Accuracy, NMI and purity."
    return {f'accuracy_{suffix}': cluster_accuracy(labels, clusters),
            f'nmi_{suffix}': normalized_mutual_info_score(labels, clusters),
            f'purity_{suffix}': purity(labels, clusters)}


def one_row(name, images, labels):
    "Clusters of a set before and after, and their scores."
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        taught = KeepsOpinions().fit(images)
    map_ = taught.clusters_
    neighbors_say = vote(map_.labels_, map_.neighbors_, map_.distances_)
    agreed = neighbors_say.argmax(axis=1) == taught.networks_say_.argmax(axis=1)
    followed = (neighbors_say + taught.networks_say_).argmax(axis=1)
    n_classes = len(np.unique(labels))
    kmeans = KMeans(n_classes, n_init=4, random_state=0)
    row = dict(images_of=name, n=len(images), n_classes=n_classes, n_clusters=map_.n_clusters_,
               agreement=taught.agreement_, asked=surely_agree(agreed),
               moved=int((taught.labels_ != map_.labels_).sum()))
    row |= three_scores(labels, map_.labels_, 'map')
    row |= three_scores(labels, taught.labels_, 'after')
    row |= three_scores(labels, followed, 'sum')
    row['accuracy_kmeans_map'] = cluster_accuracy(labels, kmeans.fit_predict(map_.embedding_))
    row['accuracy_kmeans_network'] = cluster_accuracy(labels, kmeans.fit_predict(taught.transform(images)))
    return row


@call_parse
def main(
    folders: Param('with .npz files', str, nargs='+'),
    out: Path = Path('bench/second_opinion.csv') # the table
):
    "See above."
    sets = []
    for path in sorted(path for folder in folders for path in Path(folder).glob('*.npz')):
        with np.load(path) as arrays:
            sets.append((path.stem.removeprefix('omniglot_'), arrays['images'], arrays['labels']))
    _, test = load_mnist()
    sets.append(('mnist, test images', test.images, test.labels))
    rows = []
    for name, images, labels in sets:
        rows.append(one_row(name, images, np.unique(labels, return_inverse=True)[1]))
        pd.DataFrame(rows).round(4).to_csv(out, index=False)
        print(rows[-1])
