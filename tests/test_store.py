"Files, runs and the cache: whole or not at all, whatever happens, and nothing that is somebody else's lost."
import json
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import time
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from mnist_clustering import store
from mnist_clustering.store import cached, clear_cache, exchange, lock, run_folder, whole_file

FOREIGN = {'notes.txt': 'a person', 'mine/photo.txt': 'a person', 'clusters/mine.txt': 'a person', 'link': 'notes.txt'}
HEX = '0123456789abcdef01234567'


def child(work):
    "Do something in a process of its own; its exit status, negative for a signal."
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def write_run(new, text, names):
    for name in names:
        (new / name).parent.mkdir(exist_ok=True)
        (new / name).write_text(text)


OLD = ('scores.txt', 'eps.txt', 'clusters/cluster_0.txt', 'clusters/cluster_1.txt')
NEW = ('scores.txt', 'dendrogram.txt', 'clusters/cluster_0.txt', 'more/table.txt')


def make_run(folder, text, names):
    with run_folder(folder) as new:
        write_run(new, text, names)


def add_foreign(folder):
    for name, text in FOREIGN.items():
        (folder / name).parent.mkdir(exist_ok=True)
        if name == 'link':
            (folder / name).symlink_to(text)
        else:
            (folder / name).write_text(text)
    (folder / 'mine/empty').mkdir()


def content(folder):
    "Every file's text by its name; a link says where it leads."
    return {path.relative_to(folder).as_posix(): os.readlink(path) if path.is_symlink() else path.read_text()
            for path in folder.rglob('*') if path.is_symlink() or path.is_file()}


def whole(folder, foreign=FOREIGN):
    "The text of the run in a folder, if it is one whole run whose manifest is right and all that is foreign is there."
    found = content(folder)
    manifest = json.loads(found.pop('manifest.json'))
    ours = {name: text for name, text in found.items() if name not in foreign}
    assert {name: found[name] for name in foreign} == foreign
    assert not foreign or (folder / 'mine/empty').is_dir()
    assert set(manifest['files']) == set(ours) and len(set(ours.values())) == 1
    assert all(manifest['files'][name]['bytes'] == len(text) for name, text in ours.items())
    for name, listed in manifest['files'].items():
        assert store.file_digest(folder / name) == listed['blake2b']
    text = next(iter(ours.values()))
    assert set(ours) == set(OLD if text.startswith('old') else NEW)
    return text


@pytest.fixture
def folder(tmp_path):
    "A run with foreign files in it, alone in its parent."
    folder = tmp_path / 'parent/output'
    make_run(folder, 'old', OLD)
    add_foreign(folder)
    assert whole(folder) == 'old'
    return folder


def alone(folder):
    "Is nothing else beside it?"
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    return True


CALLS = ('rename', 'replace', 'link', 'unlink', 'rmdir', 'mkdir')


def deadly(k, route):
    "Make the k-th call that changes a folder the last one: the process kills itself before it."
    left = k

    def count(call):
        def counted(*args, **kwargs):
            nonlocal left
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
            return call(*args, **kwargs)
        return counted
    for name in CALLS:
        setattr(os, name, count(getattr(os, name)))
    set_route(route, count)


def refuse(*args, **kwargs):
    raise OSError('not on this disk')


def set_route(route, wrap=lambda call: call):
    if route == 'two renames':
        store.exchange = lambda one, other: False
    else:
        store.exchange = wrap(store.exchange)
    if route == 'no hard links':
        os.link = refuse


@pytest.mark.parametrize('route', ['exchange', 'two renames', 'no hard links'])
@pytest.mark.parametrize('before', ['nothing', 'a run'])
def test_killed_at_every_single_step(tmp_path, route, before):
    "kill -9 before each call that changes a folder: the old run or the new one, whole, and nothing else."
    if route == 'exchange' and not exchange_works(tmp_path):
        pytest.skip('folders cannot change places here')
    foreign = FOREIGN if before == 'a run' else {}
    seen = []
    for k in range(1000):
        folder = tmp_path / f'parent{k}/output'
        if foreign:
            make_run(folder, 'old', OLD)
            add_foreign(folder)

        def work(folder=folder, k=k):
            deadly(k, route)
            make_run(folder, 'new', NEW)
        ended = child(work)
        assert ended in (0, -signal.SIGKILL)

        if folder.exists():
            if route != 'no hard links': # there, what is foreign may lie beside until the next start
                seen.append(whole(folder, foreign))
        else:
            assert route == 'two renames' or not foreign
            seen.append('no folder')

        def stopped(folder=folder):
            set_route(route)
            with run_folder(folder):
                raise InterruptedError
        with pytest.raises(InterruptedError), fresh_process(route):
            stopped()
        if foreign or folder.exists(): # the next start has finished or undone, even if nothing comes of it
            seen.append(whole(folder, foreign))
            assert alone(folder)

        with fresh_process(route):
            make_run(folder, 'new', NEW)
        assert whole(folder, foreign) == 'new' and alone(folder)
        if ended == 0:
            break
        shutil.rmtree(folder.parent)
    assert k > (8 if before == 'nothing' else 30)
    if route != 'no hard links':
        assert set(seen) >= ({'old', 'new'} if foreign else {'no folder', 'new'})
    if route == 'two renames' and foreign:
        assert seen.count('no folder') == 1


def exchange_works(tmp_path):
    for name in ('one', 'other'):
        (tmp_path / name).mkdir()
    works = exchange(tmp_path / 'one', tmp_path / 'other')
    for name in ('one', 'other'):
        (tmp_path / name).rmdir()
    return works


@contextmanager
def fresh_process(route):
    "What a process changes of a route, for the length of a with."
    kept = store.exchange, os.link
    try:
        if route == 'two renames':
            store.exchange = lambda one, other: False
        if route == 'no hard links':
            os.link = refuse
        yield
    finally:
        store.exchange, os.link = kept


def test_a_folder_that_was_deleted_after_a_kill_does_not_come_back_in_part(tmp_path):
    if not exchange_works(tmp_path):
        pytest.skip('folders cannot change places here')
    for k in range(1000):
        folder = tmp_path / f'parent{k}/output'
        make_run(folder, 'old', OLD)

        def work(folder=folder, k=k):
            deadly(k, 'exchange')
            make_run(folder, 'new', NEW)
        ended = child(work)
        shutil.rmtree(folder)
        with pytest.raises(InterruptedError), run_folder(folder):
            raise InterruptedError
        if folder.exists():
            whole(folder, {})
        if ended == 0:
            break
        shutil.rmtree(folder.parent)


def keep_writing(folder, word=''):
    for i in range(10**6):
        make_run(folder, f'{"new" if i % 2 else "old"} {word} {i}', NEW if i % 2 else OLD)


def test_killed_at_fifty_random_moments(folder):
    rng = random.Random(0)
    seen = set()
    for moment in range(50):
        pid = os.fork()
        if pid == 0:
            try:
                keep_writing(folder, moment)
            finally:
                os._exit(1)
        time.sleep(rng.uniform(0, .2))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        seen.add(whole(folder))
    assert len(seen) > 3
    make_run(folder, 'new', NEW)
    assert whole(folder) == 'new' and alone(folder)


def test_whoever_looks_sees_one_run(folder):
    "A reader that looks all the time: where the manifest is the same before and after, all between is of one run."
    pid = os.fork()
    if pid == 0:
        try:
            keep_writing(folder)
        finally:
            os._exit(1)
    looks, runs = 0, set()
    end = time.monotonic() + 3
    while time.monotonic() < end:
        try:
            before = (folder / 'manifest.json').read_text()
            found = content(folder)
            after = (folder / 'manifest.json').read_text()
        except FileNotFoundError: # the folder that it looked at was replaced while it looked
            assert folder.is_dir() and (folder / 'manifest.json').exists()
            continue
        if before == after == found['manifest.json']:
            texts = {text for name, text in found.items() if name not in FOREIGN and name != 'manifest.json'}
            assert len(texts) == 1
            assert FOREIGN.items() <= found.items()
            looks += 1
            runs |= texts
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert looks > 20 and len(runs) > 5


def test_a_later_run_leaves_nothing_of_the_run_before(folder):
    make_run(folder, 'new', NEW)
    assert whole(folder) == 'new' and alone(folder)
    assert not (folder / 'eps.txt').exists() and not (folder / 'clusters/cluster_1.txt').exists()


def test_what_is_foreign_stays_the_same_file(folder):
    status = (folder / 'notes.txt').stat()
    (folder / 'mine').chmod(0o750)
    folder.chmod(0o700)
    make_run(folder, 'new', NEW)
    now = (folder / 'notes.txt').stat()
    assert (now.st_ino, now.st_mtime_ns) == (status.st_ino, status.st_mtime_ns) and now.st_nlink == 1
    assert stat.S_IMODE((folder / 'mine').stat().st_mode) == 0o750 and stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_what_comes_during_the_run_stays(folder):
    with run_folder(folder) as new:
        write_run(new, 'new', NEW)
        (folder / 'late.txt').write_text('a person')
    assert (folder / 'late.txt').read_text() == 'a person'
    (folder / 'late.txt').unlink()
    assert whole(folder) == 'new'


def test_what_comes_between_link_and_exchange_stays(folder, monkeypatch):
    "A person who saves a file in the worst of all moments."
    def late(one, other):
        (folder / 'notes.txt').unlink()
        (folder / 'notes.txt').write_text('changed late')
        (folder / 'late').mkdir()
        (folder / 'late/scores.txt').write_text('a person')
        return exchange(one, other)
    monkeypatch.setattr(store, 'exchange', late)
    make_run(folder, 'new', NEW)
    found = content(folder)
    assert found['late/scores.txt'] == 'a person'
    assert found['notes.txt'] == 'changed late', 'what was saved last has the name'
    assert found['notes.txt.kept-1'] == 'a person' and alone(folder)


def begin(folder, names=None):
    with run_folder(folder, names):
        pytest.fail('the work has begun')


@pytest.mark.parametrize('name, names', [
    ('labels.csv', ['labels.csv']), ('photo.png', ['*.png']), ('clusters', ['clusters/cluster_*.png']),
    ('clusters/cluster_3.png', ['clusters/cluster_*.png']), ('manifest.json', ['labels.csv']), ('labels.csv', None)])
def test_foreign_files_of_the_same_names_are_refused_before_any_work(tmp_path, name, names):
    folder = tmp_path / 'own'
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_text('a person')
    with pytest.raises(ValueError, match=name) as said:
        begin(folder, names)
    assert '\n' not in str(said.value) and content(folder) == {name: 'a person'} and alone(folder)


def test_foreign_folders_of_the_same_names_are_refused(tmp_path):
    (tmp_path / 'own/labels.csv').mkdir(parents=True)
    with pytest.raises(ValueError, match='labels.csv'):
        begin(tmp_path / 'own', ['labels.csv'])


def test_foreign_files_of_other_names_are_kept(tmp_path):
    folder = tmp_path / 'own'
    folder.mkdir()
    add_foreign(folder)
    with run_folder(folder, ['*.csv', 'clusters/cluster_*.txt']) as new:
        write_run(new, 'new', NEW)
    assert whole(folder) == 'new' and alone(folder)


@pytest.mark.parametrize('text', ['NEW', 'changed'])
def test_a_file_that_a_person_changed_is_theirs(folder, text):
    (folder / 'eps.txt').write_text(text)
    with pytest.raises(ValueError, match='eps.txt'):
        begin(folder)
    make_run_named = run_folder(folder, [*NEW, 'clusters/cluster_*.txt'])
    with make_run_named as new:
        write_run(new, 'new', NEW)
    assert whole(folder, FOREIGN | {'eps.txt': text}) == 'new'


def test_a_file_in_place_of_our_folder(tmp_path):
    folder = tmp_path / 'output'
    make_run(folder, 'old', OLD)
    shutil.rmtree(folder / 'clusters')
    (folder / 'clusters').write_text('a person')
    with pytest.raises(ValueError, match='clusters'):
        begin(folder)
    assert (folder / 'clusters').read_text() == 'a person'


def test_a_name_that_is_taken_while_the_work_is_done(folder):
    with pytest.raises(ValueError, match='dendrogram.txt'), run_folder(folder) as new:
        write_run(new, 'new', NEW)
        (folder / 'dendrogram.txt').write_text('a person')
    assert (folder / 'dendrogram.txt').read_text() == 'a person'
    (folder / 'dendrogram.txt').unlink()
    assert whole(folder) == 'old' and alone(folder)


@pytest.mark.parametrize('text', ['{}', '[1]', 'null', '{"about": "x"}', '{"files": {"notes.txt": {}}}', '\0', '',
                                  '{"written_by": "mnist_clustering", "files": {"notes.txt": 10}, "folders": []}',
                                  '{"written_by": "mnist_clustering", "files": [1], "folders": []}'])
def test_a_manifest_of_somebody_else(tmp_path, text):
    (tmp_path / 'manifest.json').write_text(text)
    (tmp_path / 'notes.txt').write_text('a person')
    with pytest.raises(ValueError, match='manifest.json'):
        begin(tmp_path, ['labels.csv'])
    assert (tmp_path / 'notes.txt').read_text() == 'a person'


def test_another_run_is_writing(folder):
    with run_folder(folder) as new:
        with pytest.raises(ValueError, match='another run is writing'):
            begin(folder)
        write_run(new, 'new', NEW)
    assert whole(folder) == 'new' and alone(folder)


def test_ways_to_name_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('HOME', str(tmp_path))
    for name in ('relative', 'a/b/c', '~/home', tmp_path / 'path', 'relative/../other', 'slash/'):
        make_run(name, 'old', OLD)
    assert {path.name for path in tmp_path.iterdir()} == {'relative', 'a', 'home', 'path', 'other', 'slash'}
    assert whole(tmp_path / 'home', {}) == whole(tmp_path / 'a/b/c', {}) == 'old'
    for name in ('.', '..', tmp_path, '/'):
        with pytest.raises(ValueError, match='cannot be replaced|never replaced'):
            begin(name)


def test_a_link_stays_and_what_it_leads_to_is_replaced(folder, tmp_path):
    link, dangling, loop = tmp_path / 'link', tmp_path / 'dangling', tmp_path / 'loop'
    link.symlink_to(folder)
    dangling.symlink_to(tmp_path / 'new')
    loop.symlink_to(loop)
    make_run(link, 'new', NEW)
    assert link.is_symlink() and whole(folder) == 'new' and alone(folder)
    make_run(dangling, 'new', NEW)
    assert dangling.is_symlink() and whole(tmp_path / 'new', {}) == 'new'
    with pytest.raises((ValueError, OSError)):
        begin(loop)


@pytest.mark.parametrize('name', ['/proc/output', '/dev/null/output', 'file/output', 'x' * 300])
def test_folders_that_cannot_be_written(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path('file').write_text('a person')
    with pytest.raises(OSError, match='nothing can be written|too long') as said:
        begin(name)
    assert '\n' not in str(said.value) and content(tmp_path) == {'file': 'a person'}


def as_nobody(work):
    "Do it in a process that is not root's, since root may write everywhere; skip it where that is not allowed."
    if os.getuid() == 0:
        def both():
            os.setuid(65534)
            work()
        assert child(both) == 0
    else:
        work()


@pytest.mark.parametrize('which', ['parent', 'folder'])
def test_read_only(which):
    top = Path('/tmp') / f'store-{os.getpid()}-{which}'
    top.mkdir(mode=0o777)
    top.chmod(0o777)
    folder = top / 'parent/output'
    try:
        def write():
            make_run(folder, 'old', OLD)
            closed = folder if which == 'folder' else folder.parent
            closed.chmod(0o555)
            with pytest.raises(OSError, match='nothing can be written'):
                begin(folder)
            assert whole(folder, {}) == 'old' and alone(folder)
            closed.chmod(0o755)
        as_nobody(write)
    finally:
        shutil.rmtree(top)


def test_a_foreign_folder_that_is_closed():
    top = Path('/tmp') / f'store-{os.getpid()}-closed'
    top.mkdir()
    top.chmod(0o777)
    folder = top / 'output'
    try:
        def write():
            make_run(folder, 'old', OLD)
            add_foreign(folder)
            (folder / 'mine').chmod(0o555)
            for _ in range(2):
                make_run(folder, 'new', NEW)
                assert whole(folder) == 'new' and alone(folder)
                assert stat.S_IMODE((folder / 'mine').stat().st_mode) == 0o555
        as_nobody(write)
    finally:
        shutil.rmtree(top)


def test_files_of_another_user_are_refused_before_any_work():
    "They could not be carried over, and must not be left behind."
    if os.getuid() != 0:
        pytest.skip('only the administrator can make files of another user')
    top = Path('/tmp') / f'store-{os.getpid()}-others'
    top.mkdir()
    top.chmod(0o777)
    folder = top / 'output'
    try:
        def first():
            make_run(folder, 'old', OLD)

        def second():
            with pytest.raises(ValueError, match='theirs.*belongs to another user'):
                begin(folder)
            assert alone(folder)
        as_nobody(first)
        (folder / 'theirs').mkdir()
        (folder / 'theirs/notes.txt').write_text('somebody else')
        as_nobody(second)
        assert (folder / 'theirs/notes.txt').read_text() == 'somebody else'
    finally:
        shutil.rmtree(top)


def test_the_home_folder_is_never_replaced(tmp_path, monkeypatch):
    home = tmp_path / 'people/me'
    home.mkdir(parents=True)
    (home / 'thesis.txt').write_text('three years of work')
    monkeypatch.setenv('HOME', str(home))
    for name in ('~', home, home.parent):
        with pytest.raises(ValueError, match='holds your home folder, which is never replaced'):
            begin(name, ['labels.csv'])
    assert [path.name for path in home.iterdir()] == ['thesis.txt'] and alone(home)


def test_a_disk_of_its_own(folder, monkeypatch):
    class Disk:
        mountpoint = str(folder / 'clusters')
    monkeypatch.setattr(store.psutil, 'disk_partitions', lambda all: [Disk])
    for inside in (folder, folder / 'clusters'):
        with pytest.raises(ValueError, match='a disk begins there'):
            begin(inside)
    assert whole(folder) == 'old'


def test_a_full_disk(folder):
    "A limit of a few KiB a file stands for the full disk, here for the run's own files and for the manifest."
    for code in ("(new / 'big.txt').write_text('x' * 100_000)",
                 "[(new / f'{i}.txt').write_text('x') for i in range(200)]"):
        code = ('import sys, resource\nfrom mnist_clustering.store import run_folder\n'
                'with run_folder(sys.argv[1]) as new:\n'
                f' resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))\n {code}')
        ended = subprocess.run([sys.executable, '-c', code, folder], capture_output=True, text=True)
        assert ended.returncode == 1 and 'File too large' in ended.stderr
        assert whole(folder) == 'old' and alone(folder)


def test_a_whole_file(tmp_path):
    path = tmp_path / 'table.csv'

    def killed():
        with whole_file(path) as part:
            part.write_text('half')
            os.kill(os.getpid(), signal.SIGKILL)
    assert child(killed) == -signal.SIGKILL and not path.exists()
    with whole_file(path) as part:
        part.write_text('whole')
    assert content(tmp_path) == {'table.csv': 'whole'}
    with pytest.raises(ZeroDivisionError), whole_file(path) as part:
        part.write_text(str(1 / 0))
    assert content(tmp_path) == {'table.csv': 'whole'}
    with pytest.raises(OSError, match='nowhere'), whole_file(tmp_path / 'nowhere/table.csv'):
        pytest.fail('the work has begun')


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv('MNIST_CLUSTERING_CACHE', str(tmp_path / 'cache'))
    return tmp_path / 'cache'


ARRAYS = {'numbers': np.arange(6.).reshape(2, 3), 'text': np.array(['a', 'bc']), 'one': np.array(3),
          'none': np.zeros((0, 2))}


def ask(make=lambda: ARRAYS, **how):
    "What the cache gives, if that is right, and what was warned of."
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        found = cached('demo', make, seed=0, **how)
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape
        assert (found[name] == array).all()
    return [str(warning.message) for warning in caught]


def not_again():
    pytest.fail('made anew')


def test_made_once(cache):
    assert ask() == ask(not_again) == []
    [entry] = cache.iterdir()
    assert store.FORM.fullmatch(entry.name)
    assert all(array.dtype != object for array in np.load(entry, allow_pickle=False).values())


def save(path, **arrays):
    with open(path, 'wb') as file:
        np.savez(file, **arrays)


def replace_by_folder(path):
    path.unlink()
    path.mkdir()


def replace_by_full_folder(path):
    replace_by_folder(path)
    (path / 'mine.txt').write_text('a person')


def replace_by_dangling_link(path):
    path.unlink()
    path.symlink_to('nowhere')


def replace_by_pipe(path):
    path.unlink()
    os.mkfifo(path)


def change(path, **arrays):
    "The entry with some arrays changed (or taken out: None), and still readable."
    with np.load(path) as archive:
        kept = dict(archive) | arrays
    save(path, **{name: array for name, array in kept.items() if array is not None})


DAMAGE = {
    'empty': lambda path: path.write_bytes(b''),
    'truncated': lambda path: path.write_bytes(path.read_bytes()[:-100]),
    'zeros in the file': lambda path: path.write_bytes(path.read_bytes()[:100] + bytes(100) + path.read_bytes()[200:]),
    'a flipped bit': lambda path: path.write_bytes(path.read_bytes().replace(b'NUMPY', b'NUMPX', 1)),
    'zeros for numbers': lambda path: change(path, numbers=np.zeros((2, 3))),
    'another shape': lambda path: change(path, numbers=np.arange(6.)),
    'another type': lambda path: change(path, one=np.array(3, np.int32)),
    'a missing array': lambda path: change(path, text=None),
    'one array too many': lambda path: change(path, more=np.array(1)),
    'no contents': lambda path: change(path, **{store.CONTENTS: None}),
    'other contents': lambda path: change(path, **{store.CONTENTS: np.arange(3)}),
    'no arrays': lambda path: save(path),
    'a pickle': lambda path: save(path, numbers=np.array([{}], object)),
    'an npy': lambda path: path.write_bytes(b'\x93NUMPY\x01\x00'),
    'a folder': replace_by_folder,
    'a full folder': replace_by_full_folder,
    'a dangling link': replace_by_dangling_link,
    'a pipe': replace_by_pipe}


@pytest.mark.parametrize('damage', DAMAGE)
def test_damage_of_any_kind_counts_as_missing(cache, damage):
    ask()
    [entry] = cache.iterdir()
    DAMAGE[damage](entry)
    said = ask()
    assert len(said) == 1 and 'making it anew' in said[0] and '\n' not in said[0]
    assert ask(not_again) == []
    if damage == 'a full folder':
        assert [path.read_text() for path in cache.rglob('mine.txt')] == ['a person']


def test_damage_leaves_no_numbers_behind(cache):
    "Each byte of an entry, one at a time: whatever is read is right."
    ask()
    [entry] = cache.iterdir()
    good = entry.read_bytes()
    for i in range(0, len(good), 97):
        entry.write_bytes(good[:i] + bytes([good[i] ^ 255]) + good[i + 1:])
        ask()


def test_home_is_expanded(monkeypatch, tmp_path):
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.setenv('MNIST_CLUSTERING_CACHE', '~/mine')
    ask()
    assert len(list((tmp_path / 'mine').iterdir())) == 1


@pytest.mark.parametrize('where', ['/proc/cache', '/dev/null', 'file'])
def test_a_cache_that_cannot_be_written_costs_a_warning(tmp_path, monkeypatch, where):
    (tmp_path / 'file').write_text('a person')
    monkeypatch.setenv('MNIST_CLUSTERING_CACHE', str(tmp_path / where))
    said = ask()
    assert len(said) == 1 and 'cannot be written' in said[0] and '\n' not in said[0]
    assert content(tmp_path) == {'file': 'a person'}
    assert clear_cache() == 0


def test_a_read_only_cache(monkeypatch):
    top = Path('/tmp') / f'store-{os.getpid()}-cache'
    top.mkdir()
    top.chmod(0o777)
    monkeypatch.setenv('MNIST_CLUSTERING_CACHE', str(top / 'cache'))
    try:
        def read():
            ask()
            (top / 'cache').chmod(0o555)
            assert ask(not_again) == [] # it holds the answer
            assert len(ask(fresh=True)) == 1 # it cannot take one
            assert cached('other', lambda: ARRAYS) is not None
            with pytest.raises(OSError, match='Permission denied'):
                clear_cache()
            assert len(os.listdir(top / 'cache')) == 1
            (top / 'cache').chmod(0o755)
        as_nobody(read)
    finally:
        shutil.rmtree(top)


def test_leftovers_in_the_cache_are_swept_unless_somebody_is_at_work(cache):
    def killed():
        def write(file, **arrays):
            file.write(b'half')
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        np.savez = write
        cached('killed', lambda: ARRAYS)
    assert child(killed) == -signal.SIGKILL
    assert any(path.name.startswith('.part-killed-') for path in cache.iterdir())
    old, alive = cache / f'.part123-old-{HEX}.npz', cache / f'.part-alive-{HEX}.npz'
    for path in (old, alive, cache / '.part-mine.txt'):
        path.write_text('half')
    with lock(cache / f'alive-{HEX}'):
        ask()
        assert alive.exists() and not old.exists()
    ask(fresh=True)
    left = {path.name for path in cache.iterdir()}
    assert {name for name in left if name.startswith('.part')} == {'.part-mine.txt'} and len(left) == 2


def test_one_works_and_the_other_waits(cache):
    def slow():
        time.sleep(.5)
        (cache.parent / str(os.getpid())).touch()
        return ARRAYS
    pids = []
    for _ in range(3):
        pid = os.fork()
        if pid == 0:
            try:
                ask(slow)
                os._exit(0)
            finally:
                os._exit(1)
        pids.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0, 0, 0]
    assert len(list(cache.parent.iterdir())) == 2 and len(list(cache.iterdir())) == 1


def test_objects_are_never_pickled(cache):
    for wrong in (np.array([{}]), np.zeros(2, 'V2')):
        with pytest.raises(TypeError, match='only numbers and text'):
            cached('wrong', lambda wrong=wrong: {'a': wrong})
    assert list(cache.iterdir()) == []


def test_clear_cache_takes_only_its_own(cache, tmp_path):
    ask()
    size = sum(path.stat().st_size for path in cache.iterdir())
    own = {'notes.txt': 'a person', 'mine/photo.npz': 'a person', 'photo.npz': 'a person', 'x.lock': 'a person',
           f'{HEX}.npz': 'a person', f'a-{HEX}.txt': 'a person'}
    for name, text in own.items():
        (cache / name).parent.mkdir(exist_ok=True)
        (cache / name).write_text(text)
    for name in (f'.part-a-{HEX}.npz', f'a-{HEX}.npz.lock', f'.part77-a-{HEX}.npz'):
        (cache / name).write_text('12345')
    (cache / f'.part-a-{HEX}.lock').touch()
    (cache / f'folder-{HEX}.npz').mkdir()
    os.link(cache / 'notes.txt', cache / f'hardlink-{HEX}.npz')
    (cache / f'link-{HEX}.npz').symlink_to('notes.txt')
    with lock(cache / f'alive-{HEX}'):
        (cache / f'.part-alive-{HEX}.npz').write_text('at work')
        assert clear_cache() == size + 3 * 5
        (cache / f'.part-alive-{HEX}.npz').unlink()
    assert content(cache) == own
    assert (cache / f'folder-{HEX}.npz').is_dir()
    assert clear_cache() == 0 and content(cache) == own


def test_clear_cache_of_a_link_and_of_nothing(cache, tmp_path):
    assert clear_cache() == 0
    (tmp_path / 'real').mkdir()
    cache.symlink_to('real')
    ask()
    assert len(list((tmp_path / 'real').iterdir())) == 1
    assert clear_cache() > 0 and list((tmp_path / 'real').iterdir()) == []
    ask()
    shutil.rmtree(tmp_path / 'real')
    assert clear_cache() == 0
    assert ask() == [] and ask(not_again) == [] # a link that leads nowhere is followed and its folder made
    cache.unlink()
    ask()
    assert clear_cache() > 0 and not cache.exists()


def test_a_fingerprint_knows_code_and_not_prose(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    for name, text in {'made_a': '"One"\ndef f():\n    "Two"\n    # three\n    return 1\nclass C:\n    "Four"\n',
                       'made_b': '"Other"\ndef f():\n    return 1 # words\nclass C: "More"\n',
                       'made_c': 'def f():\n    return 2\nclass C: "More"\n'}.items():
        (tmp_path / f'{name}.py').write_text(text)
    one, other, changed = map(store.module_source, ('made_a', 'made_b', 'made_c'))
    assert one == other != changed


def test_no_bar_where_nobody_watches(capfd, monkeypatch):
    monkeypatch.delenv('JPY_SESSION_NAME', raising=False)
    assert list(store.progress(range(3), desc='steps')) == [0, 1, 2]
    with store.progress(total=2) as bar:
        bar.update()
    assert capfd.readouterr() == ('', '')


def test_a_disk_that_cannot_lock_files_is_worked_on_all_the_same(tmp_path):
    "There, filelock writes into the file who holds it, and waits for ever for a file that somebody else has made."
    code = """
import errno, fcntl, os, sys
def refuse(*_):
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
fcntl.flock = fcntl.lockf = refuse
from mnist_clustering.store import lock, run_folder, whole_file
with whole_file('a.txt') as part:
    part.write_text('a')
with run_folder('run', ['b.txt']) as folder:
    (folder / 'b.txt').write_text('b')
with lock('c'):
    try:
        with lock('c', timeout=0):
            pass
    except TimeoutError:
        print('held')
print(sorted(os.listdir()))
"""
    ended = subprocess.run([sys.executable, '-c', code], cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert (ended.stdout, ended.stderr) == ("held\n['a.txt', 'run']\n", '')
