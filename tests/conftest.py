"One small cache for all tests, apart from the reader's own."
import os
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
READERS_OWN = dict(os.environ) # for what may use the reader's own cache


@pytest.fixture(scope='session', autouse=True)
def cache(tmp_path_factory):
    os.environ['MNIST_CLUSTERING_CACHE'] = str(tmp_path_factory.mktemp('cache'))


@pytest.fixture(scope='session')
def run():
    "Run a console command as a person would; give back how it ended and what it said."
    def run(*command, **env):
        return subprocess.run([BIN / command[0], *map(str, command[1:])], capture_output=True, text=True, env=os.environ | env)
    return run
