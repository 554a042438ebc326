"""What is left when a command is killed, stopped, starved or disturbed at any moment: counts in bench/faults.json.

`python bench/faults.py` does all of it; `--only 'full disk'` one kind, `--share .1` a tenth, which is not written.
After each case: is the earlier run in --out whole, or the new one? Is a person's file there as it was? Does the next
run of the same command give the same result, and leave no parts? `lost or torn` must be 0. The exit code is 1 if
anything was wrong.

A parent that has imported everything, and run each command once, forks for each case: so a case costs about a second.
"""
import argparse
import contextlib
import errno
import gc
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from hashlib import blake2b
from pathlib import Path

os.environ |= dict(NUMBA_NUM_THREADS='1', NUMBA_THREADING_LAYER='workqueue', OMP_NUM_THREADS='1') # which can be forked
import numpy as np
import pandas as pd
import psutil
from PIL import Image

from mnist_clustering import cli, compare, own_run, report, review  # noqa: F401, each is forked with the parent
from mnist_clustering.data import load_mnist

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / 'tests'))
from fuzzing import cache_at, networks_untaught, small_boards  # noqa: E402

MINE = 'notes of mine.txt'
SLOW = 2 # seconds that a command may take to end after a signal, where the machine has nothing else to do
WAIT = 120 # seconds after which a run counts as hanging


def patience() -> float:
    "SLOW, and more of it where the machine has more to do than it has cores."
    return SLOW * max(1, os.getloadavg()[0] / os.cpu_count())


# A child that runs a command

class Child:
    "A command in a process of its own, forked from this one."
    def __init__(self, words, cache, prepare=None):
        self.output = tempfile.TemporaryFile()
        sys.stdout.flush()
        gc.collect()
        self.started, self.left = time.monotonic(), []
        self.pid = os.fork()
        if self.pid == 0:
            self._run(words, cache, prepare)

    def _run(self, words, cache, prepare):
        code, begun = 1, False
        try:
            os.dup2(self.output.fileno(), 1)
            os.dup2(self.output.fileno(), 2)
            sys.stdout = io.TextIOWrapper(os.fdopen(1, 'wb', 0), write_through=True)
            sys.stderr = io.TextIOWrapper(os.fdopen(2, 'wb', 0), write_through=True)
            os.environ['MNIST_CLUSTERING_CACHE'] = str(cache)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            if prepare:
                prepare()
            with networks_untaught(cache), small_boards():
                sys.argv = [str(word) for word in words]
                begun = True
                getattr(cli, words[0])() # as in the shell, where one process watches and another works
            code = 0
        except SystemExit as left:
            code = left.code or 0
            if isinstance(code, str):
                print(code, file=sys.stderr)
                code = 1
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) and not begun: # this is no line of the command
                code = 130
            else:
                traceback.print_exc()
                code = 70
        finally:
            os._exit(code)

    def ends(self, seconds=WAIT):
        "Its exit status, negative for a signal; None if it runs on."
        end = time.monotonic() + seconds
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.seconds = time.monotonic() - self.started
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > end:
                return None
            time.sleep(.002)

    def stop(self, number, after, whom='all'):
        "Send a signal so many seconds after the start, unless it has ended; its exit status, and how late it was."
        status = self.ends(max(after - (time.monotonic() - self.started), 0))
        if status is not None:
            return status
        others = self.others()
        if whom == 'worker' and others:
            with contextlib.suppress(psutil.NoSuchProcess):
                others[0].send_signal(number)
        else:
            os.kill(self.pid, number)
        status = self.ends(10)
        if status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        self.left = psutil.wait_procs(others, timeout=patience())[1]
        for process in self.left:
            process.kill()
        return status

    def others(self):
        "The processes that it has started."
        try:
            return psutil.Process(self.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def kill(self):
        "End it, and all that it has started."
        others = self.others()
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        for process in psutil.wait_procs(others, timeout=SLOW)[1]:
            process.kill()

    def said(self) -> str:
        "All that it has written."
        self.output.seek(0)
        return self.output.read().decode(errors='replace')


def run(words, cache, prepare=None) -> tuple[int | None, str]:
    "Run a command to its end: how it ended and what it said."
    child = Child(words, cache, prepare)
    status = child.ends()
    if status is None:
        child.kill()
    return status, child.said()


# What each command does, and what is left of it

class Command:
    "A command that writes to a place, and how to tell its earlier result from its new one."
    def __init__(self, name, words, earlier, results):
        self.name = name
        self.words = words # with '@out' for the place
        self.earlier = earlier # words of the earlier run
        self.results = results # files that are the same whenever the same is asked

    def at(self, words, folder):
        return [str(word).replace('@out', str(folder / 'out')) for word in words]

    def result(self, folder) -> dict | None:
        "The digests of what is the same each time; None if there is nothing whole."
        place = folder / 'out'
        has_manifest = self.name not in ('mnist_scores --page', 'mnist_compare')
        try:
            if has_manifest and not is_whole(place):
                return None
            return {name: digest(place / name) for name in self.results}
        except OSError:
            return None

    def is_between(self, folder) -> bool:
        "Has mnist_compare, which adds row after row, got some rows of the new run, and all of the earlier one?"
        if self.name != 'mnist_compare':
            return False
        try:
            tables = [pd.read_csv(folder / 'out' / name) for name in self.results]
            for picture in (folder / 'out').glob('*.png'):
                Image.open(picture).load()
            return all(table.seed.tolist() in ([0], [0, 1]) for table in tables)
        except (OSError, ValueError, AttributeError):
            return False


def digest(file: Path) -> str:
    "A short name of the bytes of a file."
    return blake2b(file.read_bytes(), digest_size=12).hexdigest()


def is_whole(place: Path) -> bool:
    "Are all files of the manifest there as they were written, and nothing else but what is a person's?"
    try:
        listed = json.loads((place / 'manifest.json').read_text())
        files = [file.relative_to(place).as_posix() for file in place.rglob('*') if file.is_file()]
        same = all(digest(place / name) == entry['blake2b'] for name, entry in listed['files'].items())
        return same and set(files) - {MINE, 'manifest.json'} == set(listed['files'])
    except (OSError, ValueError):
        return False


def parts(*folders) -> list[str]:
    "What a run has left behind under a name that no result has."
    return [str(path) for folder in folders for path in folder.rglob('*') if '.part' in path.name]


class Scene:
    "Scans, an earlier run of each command, and a cache that has what they need."
    def __init__(self, root: Path, wanted: list | None = None):
        self.root, self.cache = root, root / 'cache'
        self.cache.mkdir()
        train, _ = load_mnist()
        for name, images in (('scans', range(12)), ('later', range(12, 20))):
            (root / name).mkdir(parents=True)
            for i in images:
                Image.fromarray(train.images[i]).save(root / name / f'{i}.png')
        scans, own = root / 'scans', root / 'own'
        pixels = ['--features', 'pixels', '--out', '@out']
        self.commands = {command.name: command for command in [
            Command('mnist_cluster, own images', ['mnist_cluster', scans, *pixels, '--n_clusters', '3'],
                    ['mnist_cluster', scans, *pixels, '--n_clusters', '2'], ['labels.csv']),
            Command('mnist_cluster, MNIST', ['mnist_cluster', '--limit', '28', *pixels],
                    ['mnist_cluster', '--limit', '21', *pixels], ['labels.csv']),
            Command('mnist_assign', ['mnist_assign', own, root / 'later', '--out', '@out'],
                    ['mnist_assign', own, scans, '--out', '@out'], ['labels.csv']),
            Command('mnist_scores --page', ['mnist_scores', root / 'mnist1', '--page', '@out/index.html'],
                    ['mnist_scores', root / 'mnist2', '--page', '@out/index.html'], ['index.html']),
            Command('mnist_features', ['mnist_features', '--limit', '28', '--out', '@out'],
                    ['mnist_features', '--limit', '21', '--out', '@out'], ['features.npy']),
            Command('mnist_compare', ['mnist_compare', '--seeds', '2', '--out', '@out'],
                    ['mnist_compare', '--seeds', '1', '--out', '@out'], ['compare.csv', 'label_budget.csv'])]}
        wanted = [*self.commands] if wanted is None else wanted
        runs = {own: ['mnist_cluster', scans, *pixels, '--n_clusters', '3']} if 'mnist_assign' in wanted else {}
        if 'mnist_scores --page' in wanted:
            runs |= {root / f'mnist{i}': ['mnist_cluster', '--limit', str(limit), *pixels] for i,
                     limit in ((1, 28), (2, 21))}
        for place, words in runs.items():
            must(*run([str(word).replace('@out', str(place)) for word in words], self.cache))
        self.commands = {name: command for name, command in self.commands.items() if name in wanted}
        for command in self.commands.values():
            self.prepare(command)

    def prepare(self, command):
        "Make the earlier run and the new one, and measure how long the new one takes."
        folder = self.root / f'earlier {command.name}' # as deep as the cases, since pages link to runs
        folder.mkdir()
        (folder / 'out').mkdir()
        (folder / 'out' / MINE).write_text('of a person')
        must(*run(command.at(command.earlier, folder), self.cache))
        command.folder, command.old = folder, command.result(folder)
        new = self.root / f'new {command.name}'
        shutil.copytree(folder, new)
        must(*run(command.at(command.words, new), self.cache))
        self.wake(command, new)
        seconds = []
        for _ in range(2):
            child = Child(command.at(command.words, new), self.cache)
            child.ends()
            seconds.append(child.seconds)
        command.new, command.seconds = command.result(new), min(seconds)
        assert command.old and command.new and (command.old != command.new), command.name

    def wake(self, command, folder):
        "Run it in this process, which loads what the children would load each time."
        words, unseen = command.at(command.words, folder), io.StringIO()
        with cache_at(self.cache), networks_untaught(self.cache), small_boards():
            with contextlib.redirect_stdout(unseen), contextlib.redirect_stderr(unseen):
                getattr(cli, words[0])(words[1:])

    def fresh(self, command) -> Path:
        "A folder with the earlier run and a person's file in it."
        folder = Path(tempfile.mkdtemp(prefix='case-', dir=self.root))
        shutil.copytree(command.folder, folder, dirs_exist_ok=True)
        return folder


def must(status, said):
    "Stop if what only prepares the scene has failed."
    if status != 0:
        raise RuntimeError(f'the scene cannot be prepared: {status} {said}')


COUNTS = ['cases', 'whole old', 'whole new', 'next run fine', 'lost or torn']


class Counted(Counter):
    "How many cases ended how, and what was wrong with the first ones that ended badly."
    def __init__(self):
        super().__init__()
        self.wrong = []

    def bad(self, kind, about):
        self[kind] += 1
        if len(self.wrong) < 5:
            self.wrong.append(f'{kind}: {about}'[:1500])


def look(scene, command, folder, counts, cache, told):
    "Is the earlier run whole, or the new one, and is what is a person's as it was?"
    found = command.result(folder)
    mine = folder / 'out' / MINE
    if not mine.is_file() or mine.read_text() != 'of a person':
        counts.bad('lost or torn', f'{told}: {MINE} is lost')
    elif found == command.new:
        counts['whole new'] += 1
    elif found == command.old or command.is_between(folder):
        counts['whole old'] += 1
    else:
        left = sorted(path.relative_to(folder).as_posix() for path in folder.rglob('*'))[:20]
        counts.bad('lost or torn', f'{told}: {found} {left}')


def go_on(scene, command, folder, counts, cache, told):
    "Does the same command succeed now, with the same result, and leave no parts?"
    status, said = run(command.at(command.words, folder), cache)
    left = parts(folder, cache)
    mine = folder / 'out' / MINE
    if status == 0 and command.result(folder) == command.new and not left and mine.is_file():
        counts['next run fine'] += 1
    else:
        counts.bad('next run not fine', f'{told}: {status} {said[-600:]} {left[:3]}')


def case(scene, command, counts, disturb):
    "One case: disturb(folder, cache) does something to the command, and tells in words what it did."
    counts['cases'] += 1
    folder = scene.fresh(command)
    cache = folder.with_name(f'{folder.name}-cache')
    shutil.copytree(scene.cache, cache)
    try:
        told = disturb(folder, cache)
        look(scene, command, folder, counts, cache, told)
        go_on(scene, command, folder, counts, cache, told)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(cache, ignore_errors=True)


# The kinds of disturbance

def kill(scene, rng, share):
    "kill -9 at a random moment: of the process that was started, or of the one that does the work."
    for command in scene.commands.values():
        counts = Counted()
        for turn in range(round(100 * share)):
            after, whom = rng.uniform(0, command.seconds), ('all', 'worker')[turn % 2]

            def disturb(folder, cache, after=after, whom=whom, command=command, counts=counts):
                child = Child(command.at(command.words, folder), cache)
                status = child.stop(signal.SIGKILL, after, whom)
                told = f'{whom} killed after {after:.3f} s of {command.seconds:.3f} ({status})'
                if child.left:
                    counts.bad('left running', told)
                return told
            case(scene, command, counts, disturb)
        yield command.name, counts


def stop(scene, rng, share):
    "SIGTERM, SIGHUP and SIGINT at a random moment: it ends in two seconds with one line, and leaves no parts."
    for command in scene.commands.values():
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            counts = Counted()
            for _ in range(round(20 * share)):
                after = rng.uniform(0, command.seconds)

                def disturb(folder, cache, after=after, command=command, number=number, counts=counts):
                    child = Child(command.at(command.words, folder), cache)
                    status = child.stop(number, after)
                    late = child.seconds - after if status is not None else 10
                    told = f'{number.name} after {after:.3f} s of {command.seconds:.3f} ({status})'
                    lines = [line for line in child.said().splitlines() if command.words[0] in line.split(':')[0]]
                    traces = 'Traceback' in child.said()
                    if late > patience() and status != 0:
                        counts.bad('slow to end', f'{told}: {late:.1f} s')
                    if len(lines) > 1 or traces:
                        counts.bad('many lines', f'{told}: {child.said()[-800:]}')
                    left = parts(folder, cache)
                    if left:
                        counts.bad('parts left', f'{told}: {left[:3]}')
                    if child.left:
                        counts.bad('left running', told)
                    return told
                case(scene, command, counts, disturb)
            yield f'{command.name}, {number.name}', counts


class NoDisk(Exception):
    "Only the administrator can mount one."


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int):
    "A disk of so many megabytes in a folder; NoDisk where none can be mounted."
    folder.mkdir(exist_ok=True)
    made = subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={megabytes}m', 'tmpfs', folder], capture_output=True,
                          text=True)
    if made.returncode:
        raise NoDisk(f'no small disk can be mounted here: {made.stderr.strip()}')
    try:
        yield folder
    finally:
        subprocess.run(['umount', '-l', folder], check=True)


def full(scene, rng, share):
    "A disk of 12 MB that is full but for a random rest: under --out, or under the cache."
    for command in scene.commands.values():
        counts = Counted()
        for turn in range(round(20 * share)):
            with small_disk(scene.root / 'disk', 12) as disk:
                counts['cases'] += 1
                of_cache = turn % 4 == 3
                folder = scene.fresh(command) if of_cache else disk
                cache = disk / 'cache' if of_cache else scene.cache
                if of_cache:
                    cache.mkdir()
                else:
                    shutil.copytree(command.folder, disk, dirs_exist_ok=True)
                free = shutil.disk_usage(disk).free
                rest = min(int(rng.expovariate(1 / 400_000)), free)
                filler = disk / 'filler'
                with contextlib.suppress(OSError), open(filler, 'wb') as file:
                    for _ in range((free - rest) // 4096):
                        file.write(bytes(4096))
                        file.flush()
                status, said = run(command.at(command.words, folder), cache)
                told = f"{'cache' if of_cache else '--out'} with {rest:,} bytes left ({status}): {said[-300:]}"
                if 'Traceback' in said or status not in (0, 1):
                    counts.bad('traceback', told)
                if of_cache and status != 0:
                    counts.bad('next run not fine', f'a full cache ends the run: {told}')
                look(scene, command, folder, counts, cache, told)
                filler.unlink(missing_ok=True)
                go_on(scene, command, folder, counts, cache, told)
                if of_cache:
                    shutil.rmtree(folder)
        yield command.name, counts


def together(scene, rng, share):
    "Two and eight runs at once on one --out and one cache, which is empty."
    for n in (2, 8):
        for command in scene.commands.values():
            counts = Counted()
            for _ in range(max(1, round(10 * share))):
                def disturb(folder, cache, n=n, command=command, counts=counts):
                    shutil.rmtree(cache)
                    children = []
                    for _ in range(n):
                        children.append(Child(command.at(command.words, folder), cache))
                        time.sleep(rng.choice([0, 0, .05]))
                    ended = [child.ends() for child in children]
                    said = [child.said() for child in children]
                    told = f'{n} at once: {ended}'
                    for status, text in zip(ended, said):
                        refused = status == 1 and 'is writing to' in text
                        if status != 0 and not refused or 'Traceback' in text:
                            counts.bad('neither done nor refused', f'{told}: {text[-600:]}')
                    if 0 not in ended:
                        counts.bad('neither done nor refused', f'{told}: none of them was done')
                    for child, status in zip(children, ended):
                        if status is None:
                            child.kill()
                    return told
                case(scene, command, counts, disturb)
            yield f'{command.name}, {n} at once', counts


def without_locks(number):
    "From now on, no file can be locked here."
    import fcntl

    def refuse(*_):
        raise OSError(number, os.strerror(number))
    fcntl.flock = fcntl.lockf = refuse


def no_locks(scene, rng, share):
    "A file system that has no locks: each command does its work, or refuses in one sentence, and hangs never."
    kinds = [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL]
    for command in scene.commands.values():
        counts = Counted()
        for number in kinds[:max(1, round(len(kinds) * share))]:
            for n in (1, 2):
                def disturb(folder, cache, number=number, n=n, command=command, counts=counts):
                    children = [Child(command.at(command.words, folder), cache, lambda: without_locks(number))
                                for _ in range(n)]
                    ended = [child.ends(30) for child in children]
                    told = f'{errno.errorcode[number]}, {n} at once: {ended}'
                    for child, status in zip(children, ended):
                        if status is None:
                            child.kill()
                            counts.bad('hangs', told)
                        elif status not in (0, 1) or 'Traceback' in child.said():
                            counts.bad('traceback', f'{told}: {child.said()[-600:]}')
                    return told
                case(scene, command, counts, disturb)
        yield command.name, counts


def of_arrays(change):
    "Damage to an entry that stays a whole archive: change(arrays) alters what is in it."
    def damage(path, rng):
        with np.load(path, allow_pickle=False) as archive:
            arrays = dict(archive)
        arrays = change(arrays) or arrays
        with open(path, 'wb') as file:
            np.savez(file, **arrays)
    return damage


def of_bytes(change):
    "Damage to the bytes of an entry."
    def damage(path, rng):
        path.write_bytes(change(path.read_bytes(), rng))
    return damage


def _instead(make):
    "Something else under the name of an entry."
    def damage(path, rng):
        path.unlink()
        make(path)
    return damage


def _first(arrays):
    return next(name for name in arrays if name != '__contents__')


def _zip_of(**names):
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, data in names.items():
            archive.writestr(name.replace('__', '.'), data)
    return file.getvalue()


def _npy(array, **options):
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


DAMAGE = {
    'empty': of_bytes(lambda data, rng: b''),
    'one byte': of_bytes(lambda data, rng: data[:1]),
    'a quarter': of_bytes(lambda data, rng: data[:len(data) // 4]),
    'half': of_bytes(lambda data, rng: data[:len(data) // 2]),
    'all but one byte': of_bytes(lambda data, rng: data[:-1]),
    'all but 22 bytes': of_bytes(lambda data, rng: data[:-22]),
    'the first byte is missing': of_bytes(lambda data, rng: data[1:]),
    'zeros': of_bytes(lambda data, rng: bytes(len(data))),
    'the second half is zeros': of_bytes(lambda data, rng: data[:len(data) // 2] + bytes(len(data) - len(data) // 2)),
    'noise': of_bytes(lambda data, rng: rng.randbytes(len(data))),
    'one bit': of_bytes(lambda data, rng: bytes([data[0] ^ 1]) + data[1:]),
    'one byte in the middle': of_bytes(lambda data, rng: data[:len(data) // 2] + bytes([data[len(data) // 2] ^ 255])
                                       + data[len(data) // 2 + 1:]),
    'one byte near the end': of_bytes(lambda data, rng: data[:-9] + bytes([data[-9] ^ 255]) + data[-8:]),
    'twice': of_bytes(lambda data, rng: data + data),
    'noise behind it': of_bytes(lambda data, rng: data + rng.randbytes(100)),
    'noise before it': of_bytes(lambda data, rng: rng.randbytes(100) + data),
    'a page of HTML': of_bytes(lambda data, rng: b'<html>login</html>'),
    'text': of_bytes(lambda data, rng: 'é'.encode('utf-16')),
    'a gzip file': of_bytes(lambda data, rng: __import__('gzip').compress(data)),
    'one array without an archive': of_bytes(lambda data, rng: _npy(np.arange(3))),
    'an archive of nothing': of_bytes(lambda data, rng: _zip_of()),
    'an archive of text': of_bytes(lambda data, rng: _zip_of(a__txt='x')),
    'a header that claims 2^40 numbers': of_bytes(lambda data, rng: _zip_of(
        neighbors__npy=_npy(np.arange(3)).replace(b'(3,), ', b'(1099511627776,), ')[:128])),
    'a zip bomb': of_bytes(lambda data, rng: _zip_of(neighbors__npy=bytes(50_000_000))),
    'pickled objects': of_bytes(lambda data, rng: _zip_of(neighbors__npy=_npy(np.array([{}, []], object),
                                                                              allow_pickle=True))),
    'no list of contents': of_arrays(lambda arrays: {name: array for name,
                                                     array in arrays.items() if name != '__contents__'}),
    'an array is missing': of_arrays(lambda arrays: {name: array for name,
                                                     array in arrays.items() if name != _first(arrays)}),
    'one array more': of_arrays(lambda arrays: arrays | dict(more=np.arange(3))),
    'another type': of_arrays(lambda arrays: arrays | {_first(arrays): arrays[_first(arrays)].astype(np.float16)}),
    'another shape': of_arrays(lambda arrays: arrays | {_first(arrays): arrays[_first(arrays)][:-1]}),
    'other numbers': of_arrays(lambda arrays: arrays | {_first(arrays): arrays[_first(arrays)][::-1] + 1}),
    'not a number': of_arrays(lambda arrays: arrays | {_first(arrays): np.full(arrays[_first(arrays)].shape, np.nan)}),
    'a list of contents that is none': of_arrays(lambda arrays: arrays | {'__contents__': np.array('{}')}),
    'a folder': _instead(lambda path: path.mkdir()),
    'a folder with a file': _instead(lambda path: (path.mkdir(), (path / 'a').write_text('x'))),
    'a link that leads nowhere': _instead(lambda path: path.symlink_to('nowhere')),
    'a link to itself': _instead(lambda path: path.symlink_to(path.name)),
    'a pipe': _instead(lambda path: os.mkfifo(path)),
}


def damaged_cache(scene, rng, share):
    "38 kinds of damage to each entry of the cache that a run reads: the same result, and it is whole the next time."
    command = Command('mnist_cluster', ['mnist_cluster', scene.root / 'scans', '--out', '@out'],
                      ['mnist_cluster', scene.root / 'scans', '--features', 'pixels', '--n_clusters', '2', '--out',
                       '@out'],
                      ['labels.csv'])
    scene.prepare(command)
    kinds = [*DAMAGE][:max(2, round(len(DAMAGE) * share))]
    for name in kinds:
        counts = Counted()

        def disturb(folder, cache, name=name, counts=counts):
            for entry in sorted(cache.glob('*.npz')):
                DAMAGE[name](entry, rng)
            status, said = run(command.at(command.words, folder), cache)
            if status != 0 or 'Traceback' in said or command.result(folder) != command.new:
                counts.bad('lost or torn', f'{name} ({status}): {said[-600:]}')
            return f'{name}: {status}'
        case(scene, command, counts, disturb)
        yield name, counts


def killed_clearing(scene, rng, share):
    "kill -9 while the cache is cleared: each entry is whole or gone, and what is foreign stays."
    counts = Counted()
    for _ in range(round(100 * share)):
        counts['cases'] += 1
        cache = Path(tempfile.mkdtemp(prefix='cache-', dir=scene.root))
        for i in range(200):
            (cache / f'images-{i:024x}.npz').write_bytes(bytes(100))
        (cache / MINE).write_text('of a person')
        child = Child(['mnist_clear_cache'], cache)
        child.stop(signal.SIGKILL, rng.uniform(0, .06))
        left = [*cache.glob('*.npz')]
        torn = [entry for entry in left if entry.stat().st_size != 100]
        if torn or not (cache / MINE).is_file():
            counts.bad('lost or torn', f'{torn[:3]}')
        elif left:
            counts['whole old'] += 1
        else:
            counts['whole new'] += 1
        status, said = run(['mnist_clear_cache'], cache)
        if status == 0 and [*cache.iterdir()] == [cache / MINE]:
            counts['next run fine'] += 1
        else:
            counts.bad('next run not fine', f'{status} {said} {sorted(cache.iterdir())[:3]}')
        shutil.rmtree(cache)
    yield 'mnist_clear_cache', counts


KINDS = {'kill -9': kill, 'kill -9 of mnist_clear_cache': killed_clearing, 'signals': stop, 'full disk': full,
         'at once': together, 'no locks': no_locks, 'damaged cache': damaged_cache}


def in_all(kinds: dict) -> dict:
    "The counts of all kinds together."
    total = Counter()
    for kind in kinds.values():
        for counts in kind.values():
            total.update(counts if isinstance(counts, dict) else {})
    return dict(total)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--share', type=float, default=1, help='of the cases')
    parser.add_argument('--only', nargs='+', choices=KINDS, help='kinds of disturbance')
    parser.add_argument('--commands', nargs='+', help='only these')
    options = parser.parse_args()
    rng = random.Random(options.seed)
    written, wrong = {}, {}
    with tempfile.TemporaryDirectory(prefix='faults-', ignore_cleanup_errors=True) as root:
        scene = Scene(Path(root), options.commands)
        for kind in options.only or KINDS:
            written[kind], wrong[kind] = {}, []
            try:
                for name, counts in KINDS[kind](scene, rng, options.share):
                    written[kind][name] = {key: counts[key] for key in dict.fromkeys([*COUNTS, *counts])}
                    print(f'{kind}, {name}: {dict(written[kind][name])}', flush=True)
                    for about in counts.wrong:
                        print(f'  {about}', flush=True)
                    wrong[kind] += counts.wrong
            except NoDisk as error:
                written[kind]['not done'] = str(error)
                print(f'{kind}: {error}', flush=True)
    total = in_all(written)
    print(f'in all: {total}')
    if options.share == 1 and not options.commands:
        file = HERE / 'faults.json'
        earlier = json.loads(file.read_text()) if file.exists() else dict(kinds={}, wrong={})
        kinds = {kind: written.get(kind, earlier['kinds'].get(kind)) for kind in KINDS}
        kinds = {kind: counts for kind, counts in kinds.items() if counts}
        told = {kind: about for kind, about in (earlier['wrong'] | wrong).items() if about}
        file.write_text(json.dumps(dict(total=in_all(kinds), kinds=kinds, wrong=told), indent=1) + '\n')
    return 1 if any(wrong.values()) else 0


if __name__ == '__main__':
    sys.exit(main())
