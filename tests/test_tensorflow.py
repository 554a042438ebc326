"TensorFlow loads only where a network is trained or read, says nothing, and ignores a person's Keras settings."
import json
import os
import random
import subprocess
import sys
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import psutil
import pytest

from mnist_clustering import cnn
from mnist_clustering.cnn import fit_network, fixed_keras, load_tensorflow, seventh_layer, train_cnn
from mnist_clustering.data import as_pixels, load_mnist
from mnist_clustering.features import CnnFeatures

ROOT = Path(__file__).parent.parent
TINY = '''
from mnist_clustering.data import load_mnist
from mnist_clustering.features import CnnFeatures
images, labels = load_mnist()[1].images[:60], load_mnist()[1].labels[:60]
cnn = CnnFeatures(epochs=1, fresh=True).fit(images, labels)
cnn.predict(images)
'''

# What TensorFlow says differs between processors, so this one says something on every processor, when it is imported
# and at its first operation; otherwise it is the TensorFlow that is installed.
TALKATIVE = '''
import os, sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec

def say(line):
    try:
        os.write(2, line + b'\\n')
    except OSError: # C++ does not notice that the descriptor is closed
        pass

say(b'WARNING: All log messages before absl::InitializeLog() is called are written to STDERR')
say(b'I0000 00:00:1795711379.736297    3418 port.cc:153] oneDNN custom operations are on.')
spec = PathFinder.find_spec('tensorflow', [INSTALLED])
module = sys.modules['tensorflow'] = module_from_spec(spec)
spec.loader.exec_module(module)

def constant(*args, **kwargs):
    module.constant = real
    say(b'I0000 00:00:1795711670.393954    8710 cpu_feature_guard.cc:227] This TensorFlow binary is optimized.')
    return real(*args, **kwargs)

real, module.constant, module.talkative = module.constant, constant, True
'''
BROKEN = '''
import os
os.write(2, b'the processor has no AVX\\n')
raise ImportError('DLL load failed')
'''


@pytest.fixture
def stand_in(tmp_path):
    "Put a package named tensorflow before the installed one; return the environment that does so."
    def stand_in(code, **env):
        folder = tmp_path / 'stand_in' / 'tensorflow'
        folder.mkdir(parents=True)
        installed = str(Path(find_spec('tensorflow').origin).parent.parent)
        (folder / '__init__.py').write_text(code.replace('INSTALLED', repr(installed)), encoding='utf-8')
        return dict(PYTHONPATH=os.pathsep.join([str(folder.parent), str(ROOT)]), **env)
    return stand_in


def python(code, **env):
    "Run code in a fresh process; return how it ended and what it said."
    clean = {name: value for name, value in os.environ.items() if name not in ('TF_CPP_MIN_LOG_LEVEL', 'PYTHONPATH')}
    env = clean | {'PYTHONPATH': str(ROOT)} | env
    return subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, env=env)


def said(done):
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_training_and_reading_are_silent_and_what_others_say_is_heard(stand_in):
    own = 'import os, tensorflow, warnings; print(tensorflow.talkative); os.write(2, b"one "); warnings.warn("two")'
    done = python(TINY + own, **stand_in(TALKATIVE))
    assert said(done) == 'True'
    assert done.stderr == 'one <string>:7: UserWarning: two\n'


@pytest.mark.parametrize('before', [
    'import os; os.close(2)',
    'import os, sys, tempfile; os.close(0); os.close(1); sys.stderr = None; tempfile.tempdir = "/no/such/folder"'])
def test_silence_needs_no_particular_descriptors(stand_in, before):
    code = f'{before}\nfrom mnist_clustering.cnn import load_tensorflow\nload_tensorflow()\nraise SystemExit(7)'
    done = python(code, **stand_in(TALKATIVE))
    assert (done.returncode, done.stderr) == (7, '')


def test_threads_may_load_it_together(stand_in):
    code = '''
from concurrent.futures import ThreadPoolExecutor
from mnist_clustering.cnn import load_tensorflow
with ThreadPoolExecutor(4) as pool:
    modules = list(pool.map(lambda _: load_tensorflow(), range(4)))
print(len({id(module) for module in modules}))
import os; os.write(2, b'heard')'''
    done = python(code, **stand_in(TALKATIVE))
    assert (said(done), done.stderr) == ('1', 'heard')


def test_without_tensorflow_one_sentence_says_what_to_install():
    done = python('import sys; sys.modules["tensorflow"] = None' + TINY)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "ImportError: this needs TensorFlow, which is not installed: pip install 'mnist_clustering[networks]'")


def test_a_broken_tensorflow_says_what_broke(stand_in):
    done = python(TINY, **stand_in(BROKEN))
    assert 'ImportError: TensorFlow cannot be loaded: DLL load failed\nthe processor has no AVX' in done.stderr


@pytest.mark.parametrize('where', ['environment', 'keras.json'])
def test_another_backend_of_keras_is_refused_in_one_sentence(where, tmp_path):
    (tmp_path / 'keras.json').write_text(json.dumps({'backend': 'jax'}))
    done = python(TINY, **({'KERAS_BACKEND': 'jax'} if where == 'environment' else {'KERAS_HOME': str(tmp_path)}))
    assert done.stderr.splitlines()[-1] == (
        'ValueError: Keras must use tensorflow, not jax: set KERAS_BACKEND=tensorflow and start again')


NOT_LOADED = '''
import sys
print(*[name for name in ('tensorflow', 'keras') if sys.modules.get(name)], sep=',')
'''
ESTIMATORS = '''
from mnist_clustering.agglomerative import Ward
from mnist_clustering.data import as_rows, load_mnist
from mnist_clustering.dbscan import AutoDBSCAN
from mnist_clustering.features import FEATURES, CnnFeatures
from mnist_clustering.prepare import NormalizedPCA
from mnist_clustering.shapes import DistortionMap
images = load_mnist()[1].images[:300]
CnnFeatures(), FEATURES['cnn'].make()
points = NormalizedPCA().fit_transform(as_rows(images))
AutoDBSCAN(eps=.5).fit(points), Ward(10).fit(points), DistortionMap(fresh=True).fit(images)
'''
MODEL = '''
from mnist_clustering.data import load_mnist
from mnist_clustering.model import ClusterModel
images = load_mnist()[1].images[:300]
ClusterModel(features='pixels').fit(images).predict(images[:9])
'''
COMMAND = '''
import sys
from contextlib import redirect_stdout
from io import StringIO
from mnist_clustering.cli import mnist_cluster
sys.argv = ['mnist_cluster', '--features', 'pixels', '--limit', '140', '--out', OUT]
with redirect_stdout(StringIO()): mnist_cluster()
'''


HAS_MODEL = 'class ClusterModel' in (ROOT / 'mnist_clustering' / 'model.py').read_text(encoding='utf-8')


@pytest.mark.parametrize('code', [
    ESTIMATORS, COMMAND,
    pytest.param(MODEL, marks=pytest.mark.skipif(not HAS_MODEL, reason='not built yet'))],
    ids=['estimators', 'command', 'model'])
def test_what_needs_no_network_never_loads_tensorflow(stand_in, tmp_path, code):
    done = python(code.replace('OUT', repr(str(tmp_path / 'run'))) + NOT_LOADED, **stand_in(TALKATIVE))
    assert (said(done), done.stderr) == ('', '')


def test_a_cached_network_is_read_without_tensorflow(stand_in, tmp_path):
    fit = TINY.replace(', fresh=True', '').replace('cnn.predict(images)', '')
    env = stand_in(TALKATIVE, MNIST_CLUSTERING_CACHE=str(tmp_path / 'cache'))
    assert said(python(fit + NOT_LOADED, **env)) == 'tensorflow,keras'
    assert said(python(fit + NOT_LOADED, **env)) == ''


@pytest.fixture(scope='module')
def digits():
    return load_mnist()[1][:60]


SETTINGS = [dict(dtype_policy='mixed_float16', epsilon=.1, max_epochs=1),
            dict(floatx='float16', image_data_format='channels_first')]


@pytest.mark.parametrize('network', ['fast', 'simple'])
def test_a_persons_keras_settings_change_nothing_and_stay(digits, network):
    load_tensorflow()
    import keras

    def setting(name):
        return getattr(keras.config, name)()

    def train_and_read():
        weights = train_cnn(digits.images, digits.labels, network, epochs=2, fresh=True).weights
        features = seventh_layer(digits.images, weights, network)
        assert features.dtype == np.float32
        return [array.tobytes() for array in (*weights, features)]

    def change(settings):
        for name, value in settings.items():
            getattr(keras.config, f'set_{name}')(value)

    names = [name for settings in SETTINGS for name in settings if hasattr(keras.config, name)]
    expected = train_and_read()
    before = {name: setting(name) for name in names}
    for settings in SETTINGS:
        try:
            change({name: value for name, value in settings.items() if name in names})
            own = [setting(name) for name in names]
            assert train_and_read() == expected
            assert [setting(name) for name in names] == own
        finally:
            change(before)


ONE_CORE = """
import os
cores = os.sched_getaffinity(0)
os.sched_setaffinity(0, {min(cores)} if ONE else cores)
"""
DIGEST = """
from hashlib import sha256
print(sha256(b''.join(weight.tobytes() for weight in [*cnn.weights_, cnn.transform(images)])).hexdigest())"""


@pytest.mark.skipif(not hasattr(os, 'sched_setaffinity'), reason='no such setting here')
def test_one_core_trains_the_same_network_as_all():
    one, every = [said(python(ONE_CORE.replace('ONE', name) + TINY + DIGEST)) for name in ('True', 'False')]
    assert one == every


def test_a_persons_number_of_threads_changes_nothing():
    threads = 'import tensorflow as tf\ntf.config.threading.set_intra_op_parallelism_threads(3)\n'
    assert said(python(threads + TINY + DIGEST)) == said(python(TINY + DIGEST))


def test_a_training_that_fails_says_why(digits):
    recipe = dict(network='fast', epochs=1, seed='none', augment=False, label_smoothing=0.)
    with pytest.raises(RuntimeError, match='the network cannot be trained: TypeError: .*none'):
        fit_network(as_pixels(digits.images), digits.labels, **recipe)


def test_a_training_that_is_ended_from_outside_says_so(digits, monkeypatch):
    monkeypatch.setattr(cnn, 'load_tensorflow', kill_children) # while the other process waits for its task
    recipe = dict(network='fast', epochs=1, seed=0, augment=False, label_smoothing=0.)
    with pytest.raises(RuntimeError, match='the process that trains the network was ended from outside'):
        fit_network(as_pixels(digits.images), digits.labels, **recipe)
    assert not psutil.Process().children()


def kill_children():
    for process in psutil.Process().children():
        process.kill()


def test_keras_json_changes_nothing(digits, tmp_path):
    code = TINY + """
from hashlib import sha256
print(sha256(b''.join(weight.tobytes() for weight in cnn.weights_)).hexdigest())"""
    keras_json = dict(floatx='float16', epsilon=.1, backend='tensorflow', image_data_format='channels_first')
    (tmp_path / 'keras.json').write_text(json.dumps(keras_json))
    changed = python(code, KERAS_HOME=str(tmp_path), KERAS_MAX_STEPS_PER_EPOCH='1')
    weights = CnnFeatures(epochs=1, fresh=True).fit(digits.images, digits.labels).weights_
    assert said(changed) == sha256(b''.join(weight.tobytes() for weight in weights)).hexdigest()


def test_settings_come_back_after_errors(digits):
    load_tensorflow()
    import keras
    before = keras.config.dtype_policy(), keras.config.floatx()
    with pytest.raises(ZeroDivisionError), fixed_keras('mixed_bfloat16'):
        assert keras.config.dtype_policy().name == 'mixed_bfloat16'
        raise ZeroDivisionError
    assert (keras.config.dtype_policy(), keras.config.floatx()) == before


def test_training_leaves_the_random_numbers_of_python_and_numpy_alone(digits):
    random.seed(5)
    np.random.seed(5)
    expected = random.random(), np.random.random()
    random.seed(5)
    np.random.seed(5)
    weights = train_cnn(digits.images, digits.labels, epochs=1, seed=np.int64(1), fresh=True).weights
    seventh_layer(digits.images, weights, 'fast')
    assert (random.random(), np.random.random()) == expected
