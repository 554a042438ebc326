"`python -m mnist_clustering` is `mnist_cluster`."
from mnist_clustering.cli import mnist_cluster

if __name__ == '__main__':
    mnist_cluster()
