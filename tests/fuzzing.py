"""What is asked of the project at random, and how each answer is judged.

`tests/test_fuzz.py` asks 500 questions, `bench/fuzz.py` 20,000. An answer is right if it is equal to that of an oracle,
which the docstring of each judge names, or if it is a refusal: one sentence that says what is wrong.
"""
import atexit
import contextlib
import copy
import functools
import gzip
import inspect
import io
import itertools
import json
import math
import os
import re
import shutil
import signal
import stat
import struct
import tarfile
import tempfile
import traceback
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path, PurePosixPath

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from hypothesis import strategies as st
from PIL import Image

from mnist_clustering import cli
from mnist_clustering.data import load_mnist
from mnist_clustering.images import FORMATS, MAX_PIXELS, SUFFIXES, load_images
from mnist_clustering.kmeans import CLUSTERERS

HANG = 10 # seconds of work: whatever takes longer does not end, to the person who waits
ASLEEP = 60 # seconds by the clock: it waits for somebody, or the machine has much else to do
LONGEST = 400 # characters of one sentence


# How an answer is taken, and what is no answer

class Fault(AssertionError):
    "A traceback, a hang, silent nonsense, something touched, or too much memory."
    def __init__(self, kind, about, where=''):
        super().__init__(f'{kind}: {about}')
        self.kind = kind
        self.signature = kind, where or re.sub('[0-9]+|/tmp/[^ ,]*', '', about)[:60]


class Hang(BaseException):
    "The alarm has rung; no `except Exception` may swallow it."


@dataclass
class Answer:
    "What a call gave back, or the sentence in which it refused."
    value: object = None
    refusal: str | None = None


def ask(call: Callable) -> Answer:
    "Call it; Fault if it takes ten seconds, raises what no person can read, or refuses in a sentence of no use."
    def ring(*_):
        raise Hang

    earlier = [signal.signal(number, ring) for number in (signal.SIGPROF, signal.SIGALRM)]
    signal.setitimer(signal.ITIMER_PROF, HANG)
    signal.setitimer(signal.ITIMER_REAL, ASLEEP)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            return Answer(call())
    except Hang as error:
        raise Fault('hang', f'more than {HANG} seconds', _place(error)) from error
    except (ValueError, TypeError, MemoryError, OSError) as error:
        _check_refusal(error)
        return Answer(refusal=str(error))
    except Exception as error:
        raise Fault('traceback', f'{type(error).__name__}: {error}', _place(error)) from error
    finally:
        for timer in (signal.ITIMER_PROF, signal.ITIMER_REAL):
            signal.setitimer(timer, 0)
        for number, handler in zip((signal.SIGPROF, signal.SIGALRM), earlier):
            signal.signal(number, handler)


def _place(error):
    "The last line of the project that an error went through."
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if '/mnist_clustering/' in frame.filename]
    if not ours:
        return type(error).__name__
    return f'{type(error).__name__} in {Path(ours[-1].filename).stem}.{ours[-1].name}: {ours[-1].line}'


def _check_refusal(error):
    "Fault unless the project, or scikit-learn, has raised this on purpose and says something."
    last = traceback.extract_tb(error.__traceback__)[-1]
    if '/sklearn/' in last.filename: # its own sentences, of several lines sometimes, are what everybody knows
        return
    on_purpose = '/mnist_clustering/' in last.filename and 'raise' in (last.line or '')
    of_system = isinstance(error, OSError) and error.errno is not None
    if not on_purpose and not of_system and not (isinstance(error, MemoryError) and str(error)):
        raise Fault('traceback', f'{type(error).__name__}: {error}', _place(error)) from error
    check_sentence(str(error), _place(error))


def check_sentence(text, where=''):
    "Fault unless it is one line of readable length."
    if not text.strip() or len(text.strip().splitlines()) != 1 or 'Traceback' in text:
        raise Fault('traceback', f'no single sentence: {text[:500]!r}', where)
    if len(text) > LONGEST:
        raise Fault('traceback', f'a sentence of {len(text):,} characters: {text[:200]!r}', where)
    if re.search('[\0-\x1f\x7f-\x9f]', text.strip()):
        raise Fault('traceback', f'a sentence that commands a terminal: {text[:200]!r}', where)


def nonsense(about, where=''):
    "The fault of an answer that is wrong and does not say so."
    return Fault('nonsense', about, where)


@dataclass(frozen=True)
class Fuzz:
    "One kind of question."
    cases: st.SearchStrategy # what is asked
    judge: Callable # judge(case, folder) -> 'refused' or 'equal'; Fault for anything else
    of_500: int # how many of them `make test` asks
    of_20_000: int # how many of them bench/fuzz.py asks


FUZZ: dict[str, Fuzz] = {}


# Damage to bytes: anywhere, and more often where headers and directories lie

places = st.one_of(st.integers(0, 63), st.integers(-64, -1), st.integers(64, 9_999))
odd_bytes = st.one_of(st.sampled_from([b'\0\0\0\0', b'\xff\xff\xff\x7f', b'\xff\xff\xff\xff', b'\x7f\xff\xff\xff',
                                       b'\x80',
                                       b'\0' * 8, b'\xff' * 8, b'\n', b',', b'"', b"'", b'\r\n', b'\xef\xbb\xbf']),
                      st.binary(min_size=1, max_size=8))
damages = st.lists(st.one_of(st.tuples(st.just('flip'), places, st.integers(1, 255)),
                             st.tuples(st.just('cut'), places, st.just(0)),
                             st.tuples(st.just('write'), places, odd_bytes),
                             st.tuples(st.just('insert'), places, odd_bytes),
                             st.tuples(st.just('leave out'), places, st.integers(1, 16))), max_size=3)


def damaged(data: bytes, damage: list) -> bytes:
    "Bytes after each of these was done to them."
    for what, place, value in damage:
        if not data:
            return data
        at = place % len(data)
        if what == 'flip':
            data = data[:at] + bytes([data[at] ^ value]) + data[at + 1:]
        elif what == 'cut':
            data = data[:at]
        elif what == 'write':
            data = data[:at] + value + data[at + len(value):]
        elif what == 'insert':
            data = data[:at] + value + data[at:]
        else:
            data = data[:at] + data[at + value:]
    return data


# Images of one's own

def strokes(n: int, height: int, width: int, seed: int) -> np.ndarray:
    "Images with a few white strokes on black; (n, height, width) uint8."
    rng = np.random.default_rng(seed)
    images = np.zeros((n, height, width), np.uint8)
    for image in images:
        for _ in range(rng.integers(1, 4)):
            top, left = rng.integers(0, height), rng.integers(0, width)
            tall, wide = rng.integers(1, height + 1), rng.integers(1, width + 1)
            image[top:top + tall, left:left + 1 + wide // 4] = 255
    return images


sizes = st.tuples(st.integers(1, 4), st.integers(4, 30), st.integers(4, 30))
seeds = st.integers(0, 99)


def compare_images(found, wanted, labels, in_order):
    "Fault unless these are the same images, with these labels."
    if len(found) != len(wanted):
        raise nonsense(f'{len(found)} images, not {len(wanted)}')
    one, other = [images.images.reshape(len(images), -1) for images in (found, wanted)]
    if not in_order:
        one, other = [np.array(sorted(map(bytes, rows))) for rows in (one, other)]
    if not np.array_equal(one, other):
        raise nonsense('other pixels than those of the same images in memory')
    told = None if found.labels is None else [str(label) for label in found.labels]
    wanted = None if labels is None else [str(label) for label in labels]
    if in_order and told != wanted:
        raise nonsense(f'labels {told}, not {wanted}')


def judge_read(source, clean, may_refuse, labels=None, in_order=True):
    "Ask for a source, and compare with the same images in memory; `clean` is None where nothing can be read."
    asked = ask(lambda: load_images(source))
    wanted = Answer(refusal='it cannot be read') if clean is None else ask(lambda: load_images(clean))
    if asked.refusal is None and wanted.refusal is None:
        compare_images(asked.value, wanted.value, labels, in_order)
        return 'equal'
    if asked.refusal is None:
        raise nonsense(f'{len(asked.value)} images where nothing can be read: {wanted.refusal}')
    if wanted.refusal is None and not may_refuse:
        raise nonsense(f'refused what is right: {asked.refusal}')
    return 'refused'


SHAPES = ['nhw', 'nhw', 'nhw1', 'nhw3', 'flat', 'flat', 'n', 'scalar', 'nhwx', '5d', 'empty', 'no pixels']
DTYPES = ['uint8', 'uint8', 'uint8', 'int64', '>i2', 'float32', 'float64', '>f8', 'float16', 'bool', 'complex64',
          'U3', 'S3',
          'object', 'datetime64[s]', 'longdouble']


@dataclass
class Stack:
    "An array of images, of any shape and type."
    size: tuple # how many, height and width
    seed: int
    shape: str
    dtype: str
    scale: float # of the values
    odd: float | None # one value that is no pixel
    fortran: bool

    def make(self):
        n, height, width = self.size
        if self.shape == 'flat':
            height = width
        images = strokes(n, height, width, self.seed).astype(float) * self.scale
        if self.odd is not None:
            images[-1, 0, 0] = self.odd
        if self.shape == 'nhw1':
            images = images[..., None]
        elif self.shape == 'nhw3':
            images = np.stack([images] * 3, axis=-1)
        elif self.shape == 'flat':
            images = images.reshape(n, -1)
        elif self.shape == 'n':
            images = images[:, 0, 0]
        elif self.shape == 'scalar':
            images = images[0, 0, 0]
        elif self.shape == 'nhwx':
            images = np.stack([images] * 5, axis=-1)
        elif self.shape == '5d':
            images = images[..., None, None]
        elif self.shape == 'empty':
            images = images[:0]
        elif self.shape == 'no pixels':
            images = images[:, :, :0]
        with np.errstate(all='ignore'), warnings.catch_warnings():
            warnings.simplefilter('ignore')
            images = images.astype(self.dtype)
        return np.asfortranarray(images) if self.fortran else images


stacks = st.builds(Stack, sizes, seeds, st.sampled_from(SHAPES), st.sampled_from(DTYPES),
                   st.sampled_from([1, 1, 1, 1 / 255, 257 / 255, 10, 1e30]),
                   st.sampled_from([None, None, None, None, np.nan, np.inf, -1., 1e300]), st.booleans())
right_stacks = st.builds(Stack, sizes, seeds, st.sampled_from(['nhw', 'nhw', 'nhw1', 'nhw3', 'flat']),
                         st.sampled_from(['uint8', 'int64', '>i2', 'float32', '>f8']), st.just(1), st.none(),
                         st.booleans())


@dataclass
class Npy:
    "A file of np.save."
    stack: Stack
    damage: list


def judge_npy(case, folder):
    "Oracle: np.load without pickles, and the same array in memory; what NumPy cannot load is refused."
    file = folder / 'images.npy'
    np.save(file, case.stack.make(), allow_pickle=True)
    file.write_bytes(damaged(file.read_bytes(), case.damage))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            clean = np.load(file, allow_pickle=False)
    except Exception:
        clean = None
    if clean is not None and (not isinstance(clean, np.ndarray) or clean.dtype.kind not in 'biuf'):
        clean = None
    return judge_read(file, clean, may_refuse=bool(case.damage))


FUZZ['npy'] = Fuzz(st.builds(Npy, st.one_of(stacks, right_stacks), damages), judge_npy, 20, 800)


@dataclass
class Npz:
    "A file of np.savez: images, and columns beside them."
    stack: Stack
    name: str
    others: list # names of columns
    compressed: bool
    damage: list


def judge_npz(case, folder):
    "Oracle: np.load without pickles, and the one array of images in memory; labels are the one column beside it."
    file = folder / 'images.npz'
    images = case.stack.make()
    columns = {name: np.arange(case.stack.size[0]) % 3 for name in case.others if name != case.name}
    (np.savez_compressed if case.compressed else np.savez)(file, **{case.name: images}, **columns)
    file.write_bytes(damaged(file.read_bytes(), case.damage))
    try:
        arrays = dict(np.load(file, allow_pickle=False))
    except Exception:
        arrays = {}
    pictures = [array for array in arrays.values() if array.ndim > 1 and array.shape[1:] != (1,)]
    if len(pictures) > 1 and 'images' in arrays:
        pictures = [arrays['images']]
    clean = pictures[0] if len(pictures) == 1 and pictures[0].dtype.kind in 'biuf' else None
    columns = [] if clean is None else [array for array in arrays.values() if array.shape == (len(clean),)]
    labels = columns[0].tolist() if len(columns) == 1 else None
    return judge_read(file, clean, bool(case.damage), labels)


FUZZ['npz'] = Fuzz(st.builds(Npz, st.one_of(stacks, right_stacks), st.sampled_from(['images', 'x', 'arr_0', 'é']),
                             st.lists(st.sampled_from(['labels', 'y', 'names']), max_size=2, unique=True),
                             st.booleans(),
                             damages), judge_npz, 15, 600)
IDX_TYPES = {8: 'u1', 9: 'i1', 11: '>i2', 12: '>i4', 13: '>f4', 14: '>f8'}


@dataclass
class Idx:
    "A file in MNIST's own form."
    size: tuple
    seed: int
    kind: int # of its numbers
    sides: list | None # what the head says instead of the true sides
    packed: bool
    n_labels: int | None # in a file beside it
    damage: list


def read_idx_plainly(data: bytes) -> np.ndarray | None:
    "What an IDX file holds, by its definition; None if it holds nothing whole."
    if data[:2] == b'\x1f\x8b':
        try:
            data = gzip.decompress(data)
        except Exception:
            return None
    if len(data) < 4 or data[:2] != b'\0\0' or data[2] not in IDX_TYPES or not 1 <= data[3] <= 4:
        return None
    start = 4 + 4 * data[3]
    if len(data) < start:
        return None
    shape = struct.unpack(f'>{data[3]}I', data[4:start])
    kind = np.dtype(IDX_TYPES[data[2]])
    if len(data) - start != math.prod(shape) * kind.itemsize:
        return None
    return np.frombuffer(data[start:], kind).reshape(shape)


def judge_idx(case, folder):
    "Oracle: the definition of the form, read with struct; the labels beside it are those that were written."
    file = folder / ('train-images-idx3-ubyte' + ('.gz' if case.packed else ''))
    images = strokes(*case.size, case.seed).astype(IDX_TYPES[case.kind])
    head = struct.pack('>4B', 0, 0, case.kind, 3) + struct.pack('>3I', *(case.sides or images.shape))
    data = head + images.tobytes()
    file.write_bytes(damaged(gzip.compress(data) if case.packed else data, case.damage))
    clean = read_idx_plainly(file.read_bytes())
    labels = None
    if case.n_labels is not None:
        labels = [i % 10 for i in range(case.n_labels)]
        beside = file.with_name('train-labels-idx1-ubyte' + ('.gz' if case.packed else ''))
        data = struct.pack('>4BI', 0, 0, 8, 1, len(labels)) + bytes(labels)
        beside.write_bytes(gzip.compress(data) if case.packed else data)
    fits = labels is None or clean is not None and len(labels) == len(clean)
    return judge_read(file, clean if fits else None, bool(case.damage), labels)


huge = st.sampled_from([0, 1, 2**31 - 1, 2**31, 2**32 - 1])
FUZZ['idx'] = Fuzz(st.builds(Idx, sizes, seeds, st.sampled_from([*IDX_TYPES] + 3 * [8]),
                             st.one_of(st.none(), st.none(), st.lists(huge, min_size=3, max_size=3)), st.booleans(),
                             st.one_of(st.none(), st.integers(0, 5)), damages), judge_idx, 20, 800)


# Files of images

def as_picture(image: np.ndarray, mode: str) -> Image.Image:
    "Strokes in one of Pillow's modes."
    if mode == 'I;16':
        return Image.fromarray(image.astype(np.uint16) * 257)
    picture = Image.fromarray(image)
    if mode == 'LA':
        return Image.merge('LA', [picture, Image.new('L', picture.size, 200)])
    if mode in ('I', 'F'):
        return Image.fromarray(image.astype(np.int32 if mode == 'I' else np.float32))
    return picture.convert(mode)


KINDS = {'png': ['L', '1', 'RGB', 'RGBA', 'LA', 'P', 'I;16'], 'gif': ['L', 'P', 'RGB'], 'bmp': ['L', '1', 'RGB', 'P'],
         'jpeg': ['L', 'RGB'], 'ppm': ['L', '1', 'RGB'], 'tiff': ['L', '1', 'RGB', 'RGBA', 'LA', 'P', 'I;16', 'I', 'F'],
         'webp': ['RGB', 'RGBA']}


@st.composite
def pictures(draw):
    kind = draw(st.sampled_from([*KINDS]))
    mode = draw(st.sampled_from(KINDS[kind]))
    return kind, mode, draw(st.tuples(st.integers(1, 40), st.integers(1, 40))), draw(seeds)


def picture_bytes(picture: tuple, pages: int = 1) -> bytes:
    "A file of one of Pillow's formats; several pages where the format has them."
    kind, mode, sides, seed = picture
    images = [as_picture(image, mode) for image in strokes(pages, *sides, seed)]
    file = io.BytesIO()
    several = dict(save_all=True, append_images=images[1:]) if pages > 1 and kind in ('tiff', 'gif', 'webp') else {}
    images[0].save(file, kind, **several)
    return file.getvalue()


def frames(data: bytes) -> list | None:
    "All that Pillow reads of a file: the pages of a TIFF, the first picture of any other; None if it fails on one."
    found = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            with Image.open(io.BytesIO(data), formats=tuple(FORMATS)) as image:
                n_pages = getattr(image, 'n_frames', 1) if image.format == 'TIFF' else 1
                for page in range(n_pages):
                    image.seek(page)
                    if page and image.tag_v2.get(254, 0) & 1: # a small copy of another page
                        continue
                    if image.width * image.height > MAX_PIXELS:
                        return None
                    found.append(image.copy())
    except Exception:
        return None
    return found


@dataclass
class File:
    "A file of one image, or of several pages."
    picture: tuple # format, mode, sides, seed
    pages: int
    ending: str
    damage: list


def judge_file(case, folder):
    "Oracle: Pillow, and its pictures in memory; where a page fails, what is before it may be read."
    file = folder / f'scan{case.ending}'
    file.write_bytes(damaged(picture_bytes(case.picture, case.pages), case.damage))
    clean = frames(file.read_bytes())
    if clean is None: # a whole first page, or nothing
        asked = ask(lambda: load_images(file))
        if asked.refusal is None and (len(asked.value) >= max(case.pages, 2) or not len(asked.value.skipped)):
            raise nonsense(f'{len(asked.value)} images of a file that Pillow cannot read')
        return 'refused'
    if case.picture[0] == 'jpeg': # is read at a smaller size, and in grey
        asked = ask(lambda: load_images(file))
        if (asked.refusal is None) == (ask(lambda: load_images(clean)).refusal is None):
            return 'equal' if asked.refusal is None else 'refused'
        raise nonsense(f'Pillow reads it, but: {asked.refusal}')
    return judge_read(file, clean, bool(case.damage))


FUZZ['image files'] = Fuzz(st.builds(File, pictures(), st.integers(1, 3),
                                     st.sampled_from(['.png', '.TIF', '.jpg', '', '.gif', '.webp']), damages),
                           judge_file, 35, 1300)


# Folders and archives

odd_names = st.one_of(st.sampled_from(['a.png', 'b.png', 'a2.png', 'a10.PNG', 'A.png', '.hidden.png', 'Thumbs.db',
                                       'notes.txt',
                                       'é.png', 'e\u0301.png', '数字.png', '=1+1.png', '<b>.png', "'.png", 'a b.png',
                                       '-.png',
                                       '\x1b[31m.png', 'a\nb.png', '%s.png', '{}.png', 'x' * 200 + '.png', 'inner.zip',
                                       'a.7z', 'no ending', 'desktop.ini', '__MACOSX', '..png']),
                      st.text(st.characters(blacklist_characters='/\0\\', blacklist_categories=['Cs']), min_size=1,
                              max_size=8).filter(lambda name: name not in ('.', '..')))
contents = st.one_of(pictures(), pictures(), st.sampled_from(['', 'no image', 'zip', 'cut']))


def content_bytes(content) -> bytes:
    "A file of an image, or what only seems to be one."
    if isinstance(content, tuple):
        return picture_bytes(content)
    whole = picture_bytes(('png', 'L', (9, 9), 1))
    if content == 'cut':
        return whole[:len(whole) // 2]
    if content == 'zip':
        file = io.BytesIO()
        with zipfile.ZipFile(file, 'w') as archive:
            archive.writestr('a.png', whole)
        return file.getvalue()
    return content.encode()


def is_image_name(name: str) -> bool:
    "By the rules of the page about images: nothing hidden, and the ending of an image or none."
    parts = PurePosixPath(name).parts
    hidden = any(part.startswith('.') or part in ('Thumbs.db', 'desktop.ini', '__MACOSX', '@eaDir') for part in parts)
    return not hidden and PurePosixPath(name).suffix.lower() in SUFFIXES | {''}


def judge_pictures(source, whole, may_refuse=False):
    "Compare what is read of a folder or an archive with the pictures of those of its files that Pillow reads."
    read = [found for data in whole for found in [frames(data)] if found]
    pictures = [picture for found in read for picture in found]
    exact = not any(data[:2] == b'\xff\xd8' for data in whole) # JPEG is read in grey, and rounds otherwise
    if exact:
        return judge_read(source, pictures or None, may_refuse, in_order=False)
    asked = ask(lambda: load_images(source))
    n = 0 if asked.refusal else len(asked.value)
    if n != len(pictures) and not (may_refuse and n < len(pictures)):
        raise nonsense(f'{n} images of {len(pictures)}')
    return 'refused' if asked.refusal else 'equal'


@dataclass
class Folder:
    "Files, links, pipes and folders, with names of any kind."
    files: list # name, content, and the folder that it lies in
    strange: list # name and kind


def judge_folder(case, folder):
    "Oracle: os.walk and Pillow: as many images as files that Pillow reads, and the pixels of these."
    root = folder / 'scans'
    root.mkdir()
    whole = {}
    for name, content, inside in case.files:
        place = root / inside / name
        if os.path.lexists(place) or place.parent.is_file():
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content_bytes(content))
        whole[place.relative_to(root).as_posix()] = content_bytes(content)
    for name, kind in case.strange:
        place = root / name
        if os.path.lexists(place):
            continue
        if kind == 'loop':
            place.symlink_to(root, target_is_directory=True)
        elif kind == 'itself':
            place.symlink_to(place)
        elif kind == 'nowhere':
            place.symlink_to(folder / 'nothing')
        elif kind == 'pipe':
            os.mkfifo(place)
        elif kind == 'socket':
            os.mknod(place, stat.S_IFSOCK | 0o600)
        else:
            os.makedirs(os.fsencode(root) + b'/\xff' + os.fsencode(name), exist_ok=True)
    # an archive in a folder is read as a folder
    inside = [content_bytes('zip') for name,
              data in whole.items() if name.lower().endswith('.zip') and data[:2] == b'PK'
              and is_image_name(name[:-4] or '.')]
    images = [data for name, data in whole.items() if is_image_name(name)]
    images += [picture_bytes(('png', 'L', (9, 9), 1)) for _ in inside]
    return judge_pictures(root, images)


files = st.tuples(odd_names, contents, st.sampled_from(['', '', 'one', 'one/two', '.git']))
strange = st.tuples(odd_names, st.sampled_from(['loop', 'itself', 'nowhere', 'pipe', 'socket', 'folder']))
FUZZ['folders'] = Fuzz(st.builds(Folder, st.lists(files, max_size=5), st.lists(strange, max_size=2)), judge_folder,
                       20, 800)

entry_names = st.one_of(odd_names, st.sampled_from(['/abs.png', '../up.png', 'a/../../b.png', 'one/two/a.png',
                                                    'one/.x/a.png',
                                                    'C:\\a.png', '\\a.png', '//server/a.png', 'a/', 'dir/b.tar.gz']))


@dataclass
class Archive:
    "A zip or tar archive."
    kind: str # 'zip', or a mode of tarfile
    entries: list # name, content
    links: list # names, in tar only
    damage: list


def leads_out(name: str) -> bool:
    "An entry that would be unpacked elsewhere."
    parts = PurePosixPath(name.replace('\\', '/')).parts
    return '..' in parts or name.startswith(('/', '\\')) or bool(re.match('[A-Za-z]:', name))


def judge_archive(case, folder):
    "Oracle: zipfile or tarfile, and Pillow; entries that lead out, links and archives in an archive are left out."
    file = folder / ('scans.zip' if case.kind == 'zip' else f'scans.tar.{case.kind}'.rstrip('.'))
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        if case.kind == 'zip':
            with zipfile.ZipFile(file, 'w', zipfile.ZIP_DEFLATED) as archive:
                for name, content in case.entries:
                    archive.writestr(name, b'' if name.endswith('/') else content_bytes(content))
        else:
            with tarfile.open(file, f'w:{case.kind}') as archive:
                for name, content in case.entries:
                    info = tarfile.TarInfo(name)
                    info.size = len(content_bytes(content))
                    archive.addfile(info, io.BytesIO(content_bytes(content)))
                for name, kind in case.links:
                    info = tarfile.TarInfo(name)
                    info.type, info.linkname = kind, 'a.png'
                    archive.addfile(info)
    file.write_bytes(damaged(file.read_bytes(), case.damage))
    whole = [data for name, data in entries_of(file, case.kind)
             if data and not leads_out(name) and is_image_name(name.replace('\\', '/'))]
    return judge_pictures(file, whole, bool(case.damage))


def entries_of(file, kind):
    "Name and bytes of all that zipfile or tarfile reads of an archive."
    with contextlib.suppress(Exception):
        if kind == 'zip':
            with zipfile.ZipFile(file) as archive:
                for info in archive.infolist():
                    with contextlib.suppress(Exception):
                        if not stat.S_ISLNK(info.external_attr >> 16) and not info.is_dir():
                            yield info.filename, archive.read(info)
        else:
            with tarfile.open(file, 'r|*') as archive:
                for info in archive:
                    if info.isfile():
                        yield info.name, archive.extractfile(info).read()


links = st.lists(st.tuples(st.sampled_from(['link.png', '../link.png']),
                           st.sampled_from([tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])),
                 max_size=1)
FUZZ['archives'] = Fuzz(st.builds(Archive, st.sampled_from(['zip', 'zip', '', 'gz', 'bz2', 'xz']),
                                  st.lists(st.tuples(entry_names, contents), max_size=4), links, damages),
                        judge_archive, 30, 1200)


# Tables

@dataclass
class Table:
    "Pixels, and perhaps a column of labels, in a text file or in Parquet."
    size: tuple # how many images, and their side
    seed: int
    label: str | None # the name of the first column, if it is one of labels
    header: bool
    separator: str
    quoted: bool
    ending: str
    decimals: bool
    damage: list

    def make(self):
        n, side = self.size
        pixels = strokes(n, side, side, self.seed).reshape(n, -1)
        table = pd.DataFrame(pixels / 2 if self.decimals else pixels, columns=[f'pixel{i}' for i in range(side**2)])
        if self.label is not None:
            table.insert(0, self.label, np.arange(n) % 3)
        return table


def judge_csv(case, folder):
    "Oracle: pandas.read_csv, with one of the separators and with a header or without, and that table in memory."
    file = folder / f'train{case.ending}'
    table = case.make()
    text = table.to_csv(index=False, header=case.header, sep=case.separator, quoting=1 if case.quoted else 0)
    data = damaged(text.encode(), case.damage)
    file.write_bytes(gzip.compress(data) if case.ending.endswith('.gz') else data)
    asked = ask(lambda: load_images(file))
    if asked.refusal is not None:
        if not case.damage:
            raise nonsense(f'refused what is right: {asked.refusal}')
        return 'refused'
    if not case.damage:
        labels = None if case.label is None else table[case.label]
        pixels = table if case.label is None else table.drop(columns=case.label)
        compare_images(asked.value, load_images(pixels.to_numpy()), labels, True)
        return 'equal'
    for separator, header in itertools.product(',;\t', (0, None)):
        with contextlib.suppress(Exception), warnings.catch_warnings():
            warnings.simplefilter('ignore')
            found = pd.read_csv(io.BytesIO(data), sep=separator, header=header, encoding_errors='surrogateescape')
            clean = load_images(found if header == 0 else found.to_numpy()[:, -case.size[1]**2:])
            compare_images(asked.value, clean, asked.value.labels, True)
            return 'equal'
    raise nonsense(f'{len(asked.value)} images that are in no table that pandas reads')


tables = st.builds(Table, st.tuples(st.integers(1, 4), st.integers(4, 12)), seeds,
                   st.sampled_from([None, 'label', 'Label', 'y']), st.just(True), st.sampled_from(',;\t'),
                   st.booleans(),
                   st.sampled_from(['.csv', '.CSV', '.tsv', '.csv.gz']), st.booleans(), damages)
headless = st.builds(replace, tables, header=st.just(False), label=st.sampled_from([None, 'label']))
FUZZ['csv'] = Fuzz(st.one_of(tables, headless), judge_csv, 20, 600)


def judge_parquet(case, folder):
    "Oracle: pandas.read_parquet, and that table in memory; what pandas cannot read is refused."
    file = folder / 'train.parquet'
    table = case.make()
    labels = None if case.label is None else table[case.label].tolist()
    if case.header: # a column of files, as Hugging Face keeps them
        images = strokes(case.size[0], case.size[1], case.size[1], case.seed)
        cells = []
        for image in images:
            data = io.BytesIO()
            Image.fromarray(image).save(data, 'png')
            cells.append({'bytes': data.getvalue(), 'path': None} if case.quoted else data.getvalue())
        table = pd.DataFrame(dict(image=cells) | ({} if labels is None else dict(label=labels)))
    table.to_parquet(file, index=False)
    file.write_bytes(damaged(file.read_bytes(), case.damage))
    try:
        clean = pd.read_parquet(file)
    except Exception:
        clean = None
    if clean is not None and case.damage:
        asked = ask(lambda: load_images(file))
        wanted = ask(lambda: load_images(clean))
        if asked.refusal is None and wanted.refusal is None:
            compare_images(asked.value, wanted.value, wanted.value.labels, True)
        return 'refused' if asked.refusal else 'equal'
    return judge_read(file, clean, bool(case.damage), labels)


FUZZ['parquet'] = Fuzz(st.one_of(tables, headless), judge_parquet, 15, 400)


@dataclass
class Paths:
    "A list of paths, or a table of paths and labels."
    names: list
    present: list # which of them are there
    ending: str
    header: bool
    labels: bool


def judge_paths(case, folder):
    "Oracle: Pillow on those of the files that are there; no other file is read."
    names = list(dict.fromkeys(case.names))
    there = [name for name, present in zip(names, itertools.cycle(case.present)) if present]
    data = picture_bytes(('png', 'L', (9, 9), 1))
    for name in there:
        (folder / name).write_bytes(data)
    labelled = case.labels and case.ending == '.csv'
    rows = [f'{name},{i % 2}' if labelled else name for i, name in enumerate(names)]
    if case.header:
        rows = ['path,label' if labelled else 'path', *rows]
    file = folder / f'list{case.ending}'
    file.write_text('\n'.join(rows) + '\n', encoding='utf-8')
    return judge_read(file, frames(data) * len(there) or None, False, in_order=False)


plain_names = st.sampled_from(['a.png', 'b 1.png', 'é.png', 'c.PNG', 'd', '#e.png'])
FUZZ['paths'] = Fuzz(st.builds(Paths, st.lists(plain_names, min_size=1, max_size=5),
                               st.lists(st.booleans(), min_size=1, max_size=3),
                               st.sampled_from(['.txt', '.csv']), st.booleans(), st.booleans()), judge_paths, 5, 200)


# Images that are in memory already

@dataclass
class InMemory:
    "An array of images in one of the forms that Python has for it."
    stack: Stack
    form: str


def judge_memory(case, folder):
    "Oracle: the same call on the same numbers as a plain array in the order of C."
    from scipy.sparse import csr_matrix
    if case.form == 'pictures':
        images = strokes(*case.stack.size, case.stack.seed)
        return judge_read([Image.fromarray(image) for image in images], images, False)
    array = case.stack.make()
    usable = array.dtype.kind in 'biuf' and array.ndim > 0 and array.size > 0
    source = array
    if case.form == 'list' and array.ndim:
        source = list(array)
    elif case.form == 'frame':
        source = pd.DataFrame(array.reshape(len(array), -1) if array.ndim > 1 and array.size else array.ravel())
    elif case.form == 'sparse' and array.ndim == 2 and array.dtype.name in ('uint8', 'int64', 'float32', 'float64'):
        source = csr_matrix(array)
    elif case.form == 'view' and array.ndim:
        source = array[::-1][::-1]
    elif case.form == 'masked':
        source = np.ma.masked_array(array)
    elif case.form == 'memmap' and usable:
        source = np.memmap(folder / 'images', array.dtype, 'w+', shape=array.shape)
        source[:] = array
    if isinstance(source, np.ndarray):
        clean = np.ascontiguousarray(array).copy() if array.dtype.kind in 'biuf' else None
        return judge_read(source, clean, False)
    asked = ask(lambda: load_images(source))
    if asked.refusal is None and array.ndim and len(asked.value) + len(asked.value.skipped) != len(array):
        raise nonsense(f'{len(asked.value)} images of {len(array)}, and {len(asked.value.skipped)} skipped')
    return 'refused' if asked.refusal else 'equal'


FUZZ['in memory'] = Fuzz(st.builds(InMemory, st.one_of(stacks, right_stacks),
                                   st.sampled_from(['array', 'list', 'frame', 'view', 'masked', 'memmap', 'pictures',
                                                    'sparse'])),
                         judge_memory, 20, 500)


# Estimators: numbers of any kind, and parameters of any kind

@dataclass
class Points:
    "A few points, with all that real tables do to them."
    n: int
    d: int
    seed: int
    kind: str # how they are spread
    scale: float
    offset: float
    twice: int # so many of them are there a second time
    outlier: float | None
    odd: float | None # one number that is none
    form: str # the type, or what holds them

    def plain(self):
        "As an array of floating-point numbers, by SciPy's own conversion."
        rng = np.random.default_rng(self.seed)
        if self.kind == 'blobs':
            middles = rng.integers(0, 3, self.n)
            points = middles[:, None] * 10. + rng.normal(size=(self.n, self.d))
        elif self.kind == 'grid':
            points = rng.integers(0, 4, (self.n, self.d)).astype(float)
        elif self.kind == 'same':
            points = np.ones((self.n, self.d))
        elif self.kind == 'one-hot':
            points = np.eye(max(self.d, 2))[rng.integers(0, max(self.d, 2), self.n)]
        else:
            points = rng.random((self.n, self.d))
        points = points * self.scale + self.offset
        if self.outlier is not None:
            points[-1, 0] = self.outlier
        points = np.concatenate([points, points[:self.twice]])
        if self.odd is not None:
            points[0, -1] = self.odd
        if self.form == 'Int64':
            points = np.clip(np.nan_to_num(points).round(), -2.**53, 2.**53)
        with np.errstate(all='ignore'):
            return points.astype(self.form).astype(float) if self.form in NUMBERS else points

    def given(self):
        "As they are handed over."
        points = self.plain()
        if self.form in NUMBERS:
            with np.errstate(all='ignore'):
                return points.astype(self.form)
        return FORMS[self.form](points)


def _sparse(points):
    from scipy.sparse import csr_array
    return csr_array(points)


NUMBERS = ['float64', 'float32', 'float16', 'int64', 'int8', 'uint8', 'bool', '>f8']
FORMS = {'list': lambda points: points.tolist(), 'frame': pd.DataFrame, 'fortran': np.asfortranarray,
         'object': lambda points: points.astype(object), 'text': lambda points: points.astype(str), 'sparse': _sparse,
         'read-only': lambda points: np.frombuffer(points.tobytes()).reshape(points.shape),
         'strided': lambda points: np.repeat(points, 2, axis=1)[:, ::2], 'row': lambda points: points[0],
         'deep': lambda points: points[None], 'empty': lambda points: points[:0], 'one': lambda points: points[:1],
         'no columns': lambda points: points[:, :0], 'complex': lambda points: points.astype(complex),
         'masked': np.ma.masked_array, 'tuple': lambda points: tuple(map(tuple, points.tolist())),
         'Int64': lambda points: pd.DataFrame(points).astype('Int64')}
WRONG = ['text', 'sparse', 'row', 'deep', 'empty', 'one', 'no columns',
         'complex'] # no table of two real rows, or not dense
SAME = ['list', 'frame', 'fortran', 'object', 'read-only', 'strided', 'masked', 'tuple', '>f8',
        'float32'] + 12 * ['float64']
EXACT = [2.**-300, 1e-30, 1e-5, 1, 1, 1, 255, 1e6, 1e15, 2.**300]

points = st.builds(Points, st.integers(2, 60), st.integers(1, 8), seeds,
                   st.sampled_from(['blobs', 'blobs', 'grid', 'same', 'one-hot', 'uniform']), st.sampled_from(EXACT),
                   st.sampled_from([0, 0, 0, 1e3, 1e8]), st.integers(0, 5),
                   st.sampled_from([None, None, None, 1e10, -1e12]),
                   st.sampled_from([None] * 27 + [np.nan, np.inf, 1e300]),
                   st.sampled_from(SAME + NUMBERS + [*FORMS]))


def same_partition(one, other) -> bool:
    "Are these the same clusters, under other numbers?"
    one, other = np.asarray(one), np.asarray(other)
    pairs = set(zip(one.tolist(), other.tolist()))
    return one.shape == other.shape and len(pairs) == len(set(one.tolist())) == len(set(other.tolist()))


def check_labels(model, n, noise):
    "Fault unless the labels are numbers from 0 without a gap, as many as points."
    labels = model.labels_
    if labels.shape != (n,) or labels.dtype.kind not in 'iu' or labels.min() < (-1 if noise else 0):
        raise nonsense(f'labels {labels.dtype} {labels.shape} from {labels.min()} for {n} points')


def is_finite(array) -> bool:
    "No NaN and no infinity, also after squares were added?"
    with np.errstate(all='ignore'):
        return bool(np.isfinite(array).all() and np.isfinite(((array - array.mean(axis=0)) ** 2).sum()))


def judge_estimator(make, oracle):
    "A judge of points: what is right is answered as the oracle does, NaN and infinity are refused."
    def judge(case, folder):
        compile_all()
        given = case.points.given()
        plain = case.points.plain()
        asked = ask(lambda: make(case).fit(given))
        wrong = case.points.form in WRONG or not np.isfinite(plain).all()
        if asked.refusal is not None:
            may_refuse = wrong or not is_finite(plain) or case.may_refuse(plain)
            if not may_refuse:
                raise nonsense(f'refused what is right: {asked.refusal}')
            return 'refused'
        if wrong and case.points.form != 'text':
            raise nonsense(f'answered what is no table of real numbers ({case.points.form})')
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            oracle(case, plain, asked.value)
        return 'equal'
    judge.__doc__ = oracle.__doc__
    return judge


@dataclass
class Dbscan:
    "AutoDBSCAN with an eps and min_samples of its own, or auto."
    points: Points
    eps: float | str # a number is a share of the scale
    min_samples: int | str

    def radius(self):
        return self.eps if self.eps == 'auto' else float(self.eps) * self.points.scale

    def may_refuse(self, plain):
        return self.min_samples != 'auto' and self.min_samples > len(plain) or not 0 < self.radius_or_one() < np.inf

    def radius_or_one(self):
        return 1. if self.eps == 'auto' else self.radius()


def make_dbscan(case):
    from mnist_clustering.dbscan import AutoDBSCAN
    return AutoDBSCAN(case.radius(), case.min_samples)


def compare_dbscan(case, plain, model):
    """Oracle: scikit-learn's DBSCAN on all distances: core points, their clusters and noise.

    A distance that differs from eps by rounding alone may be told either way: where scikit-learn itself answers
    otherwise with an eps a billionth smaller or larger, and the numbers are no whole ones, either answer is right.
    """
    from sklearn.cluster import DBSCAN
    check_labels(model, len(plain), noise=True)
    if model.n_clusters_ != len(set(model.labels_.tolist()) - {-1}):
        raise nonsense(f'{model.n_clusters_} clusters, and labels {sorted(set(model.labels_.tolist()))}')
    if case.eps == 'auto':
        return # which clusters count is a matter of their size
    unit = 2. ** np.round(np.log2(model.eps_)) # so that no square is too small or too large
    with np.errstate(all='ignore'):
        gaps = (plain[:, None] - plain[None]) / unit
        distances = np.minimum(np.sqrt((gaps ** 2).sum(axis=2)), 1e300)
    whole = case.points.kind in ('grid', 'same', 'one-hot') and np.abs(plain).max() < 2**53 and case.points.scale >= 1
    right = []
    for slack in (1, 1 - 1e-9, 1 + 1e-9):
        found = DBSCAN(eps=model.eps_ / unit * slack, min_samples=model.min_samples_,
                       metric='precomputed').fit(distances)
        core = np.sort(found.core_sample_indices_)
        same_core = np.array_equal(core, np.sort(model.core_sample_indices_))
        same_noise = np.array_equal(found.labels_ < 0, model.labels_ < 0)
        if same_core and same_noise and same_partition(found.labels_[core], model.labels_[core]):
            return
        right.append(found.labels_)
        if whole:
            break
    if all(np.array_equal(right[0], other) for other in right):
        raise nonsense(f'{model.labels_.tolist()}, and scikit-learn {right[0].tolist()}', 'AutoDBSCAN')


dbscans = st.builds(Dbscan, points, st.sampled_from(['auto', .001, .1, .5, 1, 1.5, 2, 10, 1e3]),
                    st.sampled_from(['auto', 1, 2, 3, 5, 70]))
FUZZ['AutoDBSCAN'] = Fuzz(dbscans, judge_estimator(make_dbscan, compare_dbscan), 30, 1500)


@dataclass
class Cut:
    "A clusterer that is told a number of clusters."
    points: Points
    n_clusters: int | str

    def may_refuse(self, plain):
        few = len(np.unique(plain, axis=0))
        return self.n_clusters == 'auto' and few < 3 or self.n_clusters != 'auto' and self.n_clusters > len(plain)


cuts = st.builds(Cut, points, st.sampled_from(['auto', 1, 2, 3, 4, 10, 61]))


def make_ward(case):
    from mnist_clustering.agglomerative import Ward
    return Ward(case.n_clusters)


def compare_ward(case, plain, model):
    "Oracle: the heights of scipy.cluster.hierarchy.linkage(X, 'ward'), up to rounding; as many clusters as asked for."
    from scipy.cluster.hierarchy import linkage
    check_labels(model, len(plain), noise=False)
    if case.n_clusters != 'auto' and len(set(model.labels_.tolist())) != case.n_clusters:
        raise nonsense(f'{len(set(model.labels_.tolist()))} clusters, not {case.n_clusters}')
    centred = plain - plain.mean(axis=0)
    scale = 2. ** -np.round(np.log2(np.abs(centred).max(initial=0) or 1))
    heights = linkage(centred * scale, 'ward')[:, 2]
    rounding = np.abs(plain).max() * scale * 1e-7 # a float32 may have been given
    ties = len(np.unique(np.round(heights, 9))) < len(heights) # then there are several right trees
    found = np.sort(model.distances_) * scale
    if not np.allclose(found[0] if ties else found, heights[0] if ties else heights, rtol=1e-4, atol=rounding + 1e-12):
        raise nonsense(f'heights {found[-5:].tolist()}, and those of SciPy {heights[-5:].tolist()}', 'Ward')


FUZZ['Ward'] = Fuzz(cuts, judge_estimator(make_ward, compare_ward), 25, 1000)


def make_kmeans(case):
    from mnist_clustering.kmeans import AutoKMeans
    return AutoKMeans(case.n_clusters)


def compare_kmeans(case, plain, model):
    """Oracle: scikit-learn's KMeans with the number that was used, 4 starts and the same seed.

    Where points tie, another rounding ends in another of the local optima: then the inertia is that of the clusters,
    and not half as much again.
    """
    from sklearn.cluster import KMeans
    check_labels(model, len(plain), noise=False)
    kind = np.float32 if case.points.form == 'float32' else float
    right = KMeans(model.n_clusters_, n_init=4, random_state=0).fit(plain.astype(kind)).inertia_
    if np.isclose(right, model.inertia_, rtol=1e-3):
        return
    centred = plain - plain.mean(axis=0)
    own = sum(((part - part.mean(axis=0)) ** 2).sum() for cluster in set(model.labels_.tolist())
              for part in [centred[model.labels_ == cluster]])
    rounding = plain.size * (np.abs(plain).max() * np.finfo(kind).eps) ** 2
    if not np.isclose(own, model.inertia_, rtol=1e-3, atol=rounding) or model.inertia_ > 1.5 * right + rounding:
        raise nonsense(f'inertia {model.inertia_}, and scikit-learn {right}', 'AutoKMeans')


FUZZ['AutoKMeans'] = Fuzz(cuts, judge_estimator(make_kmeans, compare_kmeans), 10, 400)


def make_mixture(case):
    from mnist_clustering.kmeans import AutoGaussianMixture
    return AutoGaussianMixture(case.n_clusters)


def compare_mixture(case, plain, model):
    "Oracle: the shares of the distributions sum to 1, and there are as many as asked for, or as different points."
    check_labels(model, len(plain), noise=False)
    possible = ['auto', len(model.weights_)] + [61, 3, 2] * (len(model.weights_) == len(np.unique(plain, axis=0)))
    if not np.isclose(model.weights_.sum(), 1) or case.n_clusters not in possible:
        raise nonsense(f'weights {model.weights_.tolist()}')


class Mixture(Cut):
    "scikit-learn refuses a mixture of points that leave it without a covariance."
    def may_refuse(self, plain):
        return True


FUZZ['AutoGaussianMixture'] = Fuzz(st.builds(Mixture, points, st.sampled_from(['auto', 1, 2, 3, 61])),
                                   judge_estimator(make_mixture, compare_mixture), 5, 200)


@dataclass
class Graph:
    "AutoLouvain and HDBSCAN, which find the number themselves."
    points: Points
    clusterer: str
    parameters: dict

    def may_refuse(self, plain):
        return len(plain) < 5 or any(value >= len(plain) for value in self.parameters.values())


def make_graph(case):
    from mnist_clustering.kmeans import CLUSTERERS
    n = len(case.points.plain())
    return CLUSTERERS[case.clusterer].make(n=n, **case.parameters)


def compare_graph(case, plain, model):
    "Oracle: the same call on the same numbers as a plain array; clusters are numbered without a gap."
    check_labels(model, len(plain), noise=True)
    again = ask(lambda: make_graph(case).fit(np.ascontiguousarray(plain)))
    if case.points.form in SAME and case.points.form != 'float32' and (
            again.refusal or not np.array_equal(again.value.labels_, model.labels_)):
        raise nonsense(f'other clusters than for a plain array: {again.refusal}')


graphs = st.one_of(st.builds(Graph, points, st.just('louvain'), st.just({})),
                   st.builds(Graph, points, st.just('hdbscan'), st.sampled_from([{}, {'min_cluster_size': 2},
                                                                                  {'min_cluster_size': 90}])))
FUZZ['louvain and hdbscan'] = Fuzz(graphs, judge_estimator(make_graph, compare_graph), 5, 300)


@dataclass
class Pca:
    "NormalizedPCA."
    points: Points
    n_components: int | str

    def may_refuse(self, plain):
        return self.n_components != 'auto' and self.n_components > min(plain.shape)


def make_pca(case):
    from mnist_clustering.prepare import NormalizedPCA
    return NormalizedPCA(case.n_components)


def compare_pca(case, plain, model):
    "Oracle: scikit-learn's PCA of rows of length 1, whose squares were added after they were scaled."
    from sklearn.decomposition import PCA
    with np.errstate(all='ignore'):
        longest = np.abs(plain).max(axis=1, keepdims=True)
        rows = plain / np.where(longest, longest, 1)
        lengths = np.sqrt((rows ** 2).sum(axis=1, keepdims=True))
        rows = rows / np.where(lengths, lengths, 1)
        right = np.nan_to_num(PCA(random_state=0).fit(rows).explained_variance_ratio_)
    spread = rows.var(axis=0).sum()
    if spread > 1e-8 and not np.allclose(right, model.explained_variance_ratio_, atol=1e-3):
        raise nonsense(f'shares {model.explained_variance_ratio_.tolist()}, and scikit-learn {right.tolist()}',
                       'NormalizedPCA')
    found = ask(lambda: model.transform(case.points.given()))
    if found.refusal or not np.isfinite(np.asarray(found.value)).all():
        raise nonsense(f'rows that are no numbers: {found.refusal}')


FUZZ['NormalizedPCA'] = Fuzz(st.builds(Pca, points, st.sampled_from(['auto', 1, 2, 9])),
                             judge_estimator(make_pca, compare_pca), 15, 500)


# Parameters: values of all types

class Strange:
    "An object of no kind that anybody expects."
    def __repr__(self):
        return 'Strange()'


VALUES = [None, True, False, 0, 1, 2, 3, 4, 10, -1, 10**20, 2**31, .5, 1., 2., 3.5, -.1, 1e-9, 1e9, np.nan, np.inf,
          -np.inf,
          np.int64(3), np.uint8(2), np.int8(-1), np.float32(.5), np.float64(2), np.bool_(True), np.str_('auto'),
          np.array(3),
          np.array([1, 2]), np.array([]), 'auto', 'AUTO', ' auto', '', '3', 'mle', 'x' * 3000, 'é', '\0', 'a\nb',
          '\x1b[31m',
          b'auto', [], [3], (3,), {}, {'a': 1}, {3}, range(3), Strange(), Strange, len, 3 + 0j, pd.NA, pd.NaT,
          pd.Series([3]),
          np.datetime64('2026-01-01'), np.random.default_rng(0), np.random.RandomState(0), Path('a')]
WHOLE = [1, 2, 3, 4, 10, np.int64(3), np.uint8(2), 'auto', 'fast', 'simple', 'communities', None, False, True, .5, 0]


def estimator_classes() -> dict[str, type]:
    "All estimators that a person can make, by name."
    from mnist_clustering import (
        agglomerative,
        communities,
        dbscan,
        features,
        kmeans,
        label_free,
        model,
        prepare,
        shapes,
    )
    found = [agglomerative.Ward, communities.AutoLouvain, dbscan.AutoDBSCAN, features.CnnFeatures,
             features.DeskewedFeatures, features.MnistFeatures, features.PixelFeatures, kmeans.AutoGaussianMixture,
             kmeans.AutoKMeans, label_free.LabelFreeFeatures, model.ClusterModel, prepare.NormalizedPCA,
             shapes.DistortionFeatures, shapes.DistortionMap]
    return {cls.__name__: cls for cls in found}


OF_IMAGES = ['CnnFeatures', 'DeskewedFeatures', 'MnistFeatures', 'PixelFeatures', 'LabelFreeFeatures', 'ClusterModel',
             'DistortionFeatures', 'DistortionMap']
QUICK = dict(ClusterModel=dict(features='pixels', clusterer='ward'), CnnFeatures=dict(epochs=1))
parameters = {name: [*inspect.signature(cls).parameters] for name, cls in estimator_classes().items()}


@contextlib.contextmanager
def networks_untaught(cache: Path):
    "Networks of random weights: what is asked here is about everything around the training."
    from mnist_clustering import cnn, features, label_free

    def fit_network(pixels, labels, validation=None, **recipe):
        rng = np.random.default_rng(recipe['seed'])
        made = {'weight_00': rng.normal(size=(784, 128)), 'weight_01': rng.normal(size=(128, int(labels.max()) + 1)),
                'weight_02': np.zeros(int(labels.max()) + 1)}
        return made | dict(loss=np.zeros(recipe['epochs']), seconds=np.array(1.), precision=np.array('float32'))

    def seventh_layer(images, weights, network):
        return np.maximum(np.asarray(images, np.float32).reshape(len(images), -1) @ weights[0], 0).astype(np.float32)

    class Untaught:
        "What a command saves."
        def __init__(self, n_classes):
            self.weights = n_classes

        def set_weights(self, weights):
            self.weights = weights

        def save(self, file):
            Path(file).write_bytes(b'untaught')

    kept = []

    def put(module, name, value):
        if hasattr(module, name):
            kept.append((module, name, getattr(module, name)))
            setattr(module, name, value)
    earlier = os.environ.get('MNIST_CLUSTERING_CACHE')
    os.environ['MNIST_CLUSTERING_CACHE'] = str(cache) # or a real run would read what nobody has taught
    networks = {name: replace(network, make=Untaught) for name, network in cnn.NETWORKS.items()}
    for module in (cnn, features, label_free):
        put(module, 'seventh_layer', seventh_layer)
    put(cnn, 'fit_network', fit_network)
    put(cnn, 'NETWORKS', networks)
    put(cnn, 'best_precision', lambda network: 'float32')
    try:
        yield
    finally:
        for module, name, value in reversed(kept):
            setattr(module, name, value)
        del os.environ['MNIST_CLUSTERING_CACHE']
        if earlier is not None:
            os.environ['MNIST_CLUSTERING_CACHE'] = earlier


@dataclass
class Parameters:
    "An estimator with values of all types."
    name: str
    given: dict


@st.composite
def parameter_cases(draw):
    name = draw(st.sampled_from([*parameters, *parameters, 'ClusterModel', 'AutoDBSCAN', 'Ward']))
    chosen = draw(st.lists(st.sampled_from(parameters[name]), max_size=2, unique=True)) if parameters[name] else []
    return Parameters(name, {what: draw(st.one_of(st.sampled_from(VALUES), st.sampled_from(WHOLE), st.integers(-3, 20)))
                             for what in chosen})


def plainly(value):
    "The same value as a program would write it; None if there is no such number, word or nothing."
    if isinstance(value, bool | np.bool_) or value is None:
        return value if not isinstance(value, np.bool_) else bool(value)
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, np.floating):
        return float(value)
    return str(value) if isinstance(value, str) else value


@functools.cache
def compile_all():
    "Let numba compile once, and no alarm ring meanwhile."
    train, _ = load_mnist()
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder, cache_at(Path(folder)):
        warnings.simplefilter('ignore')
        for name in ('DistortionFeatures', 'AutoDBSCAN', 'Ward'):
            estimator_classes()[name]().fit(train.images[:30] if name in OF_IMAGES else train.images[:30, 10])
        CLUSTERERS['hdbscan'].make(n=30).fit(train.images[:30, 10].astype(float))


def judge_parameters(case, folder):
    """Oracle: the same call with the plain number or word; nothing else counts, but for bool in `fresh`.

    A bool is no number, and a number with a fraction is no count.
    """
    compile_all()
    cls = estimator_classes()[case.name]
    train, _ = load_mnist()
    given = QUICK.get(case.name, {}) | case.given
    X = train.images[:30] if case.name in OF_IMAGES else np.random.default_rng(0).normal(size=(30, 6)).round(3)
    y = train.labels[:30] if case.name in OF_IMAGES else None
    with networks_untaught(folder / 'cache'):
        asked = ask(lambda: _outcome(cls(**given), X, y))
        if asked.refusal is not None:
            return 'refused'
        of_features = set(case.given) & {'features', 'features_params', 'clusterer_params'}
        for what, value in case.given.items():
            allowed = isinstance(value, int | float | np.integer | np.floating | str) or value is None or of_features
            if isinstance(value, bool | np.bool_):
                allowed = what == 'fresh'
            if what == 'fresh':
                continue
            if not allowed:
                raise nonsense(f'{case.name} takes {value!r} for {what}', f'{case.name}({what})')
            if isinstance(value, float | np.floating) and what not in ('eps', 'distance_threshold', 'min_cluster_size'):
                raise nonsense(f'{case.name} takes {value!r} for {what}, a count', f'{case.name}({what})')
        plain = {what: plainly(value) for what, value in given.items()}
        again = ask(lambda: _outcome(cls(**plain), X, y))
    if again.refusal is not None or not np.array_equal(asked.value, again.value):
        raise nonsense(f'{case.name}({case.given}) differs from the same with plain values: {again.refusal}')
    return 'equal'


def _outcome(estimator, X, y):
    "Labels, or rows, after fit."
    estimator.fit(X, y) if y is not None else estimator.fit(X)
    found = estimator.labels_ if hasattr(estimator, 'labels_') else estimator.transform(X)
    found = np.asarray(found)
    if len(found) != len(X):
        raise nonsense(f'{len(found)} rows for {len(X)}')
    return found


FUZZ['parameters'] = Fuzz(parameter_cases(), judge_parameters, 40, 2400)


# Scores

odd_labels = ['a', 'b', 'é', '', '1', None, True, False, 1.5, float('nan'), (1, 2), b'a']
labels_of_any_kind = st.one_of(st.integers(0, 3), st.integers(-9, 9), st.sampled_from(odd_labels))
FORMS_OF_LABELS = {'list': list, 'tuple': tuple, 'array': lambda values: np.array(values, dtype=object),
                   'Series': lambda values: pd.Series(values, index=range(5, 5 + len(values)), dtype=object),
                   'categories': lambda values: pd.Series(pd.Categorical([str(value) for value in values])),
                   'column': lambda values: np.array(values, dtype=object).reshape(-1, 1),
                   'plain': lambda values: np.array([value if isinstance(value, int) else 0 for value in values])}


@dataclass
class Scored:
    "Labels and clusters of a few images."
    labels: list
    clusters: list
    form: str
    function: str


def _plain_labels(labels, form):
    "What the labels are, as a list; None where one is missing."
    if form == 'categories':
        return [str(value) for value in labels]
    if form == 'plain':
        return [value if isinstance(value, int) else 0 for value in labels]
    return [None if value is None or value != value else value for value in labels]


def judge_scores(case, folder):
    "Oracle: scikit-learn's scores, and counting by brute force over all ways to name clusters."
    from sklearn import metrics

    from mnist_clustering import evaluation
    several = any(isinstance(value, tuple) for value in case.labels) # NumPy would make a table of them
    given = case.labels if several else FORMS_OF_LABELS[case.form](case.labels)
    labels = _plain_labels(case.labels, case.form if given is not case.labels else 'list')
    asked = ask(lambda: getattr(evaluation, case.function)(given, case.clusters))
    numbers = [value for value in case.clusters if isinstance(value, int | np.integer) and not isinstance(value, bool)]
    whole = [len(numbers) == len(case.clusters), *(number >= -1 for number in numbers)]
    wrong = not all(whole) or len(labels) != len(case.clusters) or not labels or None in labels
    if asked.refusal is not None:
        if not wrong:
            raise nonsense(f'refused what is right: {asked.refusal}')
        return 'refused'
    if wrong:
        raise nonsense(f'{case.function} answered {asked.value}')
    different = list(dict.fromkeys(labels))
    numbers = [different.index(label) for label in labels]
    pairs = list(zip(numbers, case.clusters))
    inside = [(label, cluster) for label, cluster in pairs if cluster >= 0]
    clusters = sorted({cluster for _, cluster in inside})
    seen = sorted({label for label, _ in inside})
    padded = [*seen, *[None] * len(clusters)]
    best = max((sum(name == label for label, cluster in inside for name in [chosen[clusters.index(cluster)]])
                for chosen in itertools.permutations(padded, len(clusters))), default=0) if len(clusters) < 4 else None
    largest = [max(sum(pair == (label, cluster) for pair in inside) for label in seen) for cluster in clusters]
    members = [sum(cluster == one for _, one in inside) for cluster in clusters]
    right = dict(accuracy=None if best is None else best / len(labels), purity=sum(largest) / max(len(inside), 1),
                 macro_purity=np.mean([most / n for most, n in zip(largest, members)]) if members else 0.,
                 nmi=metrics.normalized_mutual_info_score(numbers, case.clusters),
                 ari=metrics.adjusted_rand_score(numbers, case.clusters), coverage=len(inside) / len(labels))
    found = asked.value if isinstance(asked.value, dict) else {case.function.removeprefix('cluster_'): asked.value}
    for name, value in found.items():
        if right[name] is not None and not np.isclose(value, right[name]):
            raise nonsense(f'{name} {value}, and by counting {right[name]}')
    return 'equal'


cluster_values = st.one_of(st.integers(-1, 3), st.integers(-1, 3), st.integers(-1, 3),
                           st.sampled_from([-2, 2**62, 1.5, 2., None, 'a', True, np.nan, np.int8(2)]))
few = st.integers(0, 12)


@st.composite
def scored(draw):
    n = draw(few)
    kind = draw(st.sampled_from([st.integers(0, 3), st.sampled_from('abc'), labels_of_any_kind]))
    clusters = draw(st.sampled_from([st.integers(-1, 3), st.integers(-1, 3), cluster_values]))
    odd = draw(st.sampled_from([0, 0, 0, 0, 0, 1]))
    labels = draw(st.lists(kind, min_size=n, max_size=n))
    clusters = draw(st.lists(clusters, min_size=n + odd, max_size=n + odd))
    function = draw(st.sampled_from(['score', 'score', 'cluster_accuracy', 'purity', 'macro_purity']))
    return Scored(labels, clusters, draw(st.sampled_from([*FORMS_OF_LABELS])), function)


FUZZ['scores'] = Fuzz(scored(), judge_scores, 30, 2000)


# Features of images, and the functions that look at points

@dataclass
class Rows:
    "Images of 28x28 pixels in any form, for a kind of features."
    features: str
    stack: Stack
    form: str


def judge_features(case, folder):
    "Oracle: the pixels themselves, as numbers from 0 to 1; for other features the same call on a plain array of bytes."
    cls = estimator_classes()[case.features]
    given = QUICK.get(case.features, {})
    array = case.stack.make()
    source = {'array': lambda: array, 'list': lambda: list(array) if array.ndim else array,
              'frame': lambda: pd.DataFrame(array.reshape(len(array), -1)) if array.ndim == 2 else array}[case.form]()
    asked = ask(lambda: _outcome(cls(**given), source, None))
    # integers go up to 255, fractions up to 1
    kind = array.dtype.kind
    top = 1 if kind in 'fb' else 255
    shown = array.ndim > 1 and (array.shape[1:] in ((28, 28), (28, 28, 1), (784,))) and len(array)
    with np.errstate(all='ignore'):
        usable = shown and kind in 'biuf' and bool((array >= 0).all() and (array <= top).all())
        usable = usable and (kind == 'b' or not 0 < array.max() <= top / 255) # a mask of 0 and 1 is refused
    if asked.refusal is not None:
        if usable and len(array) > 3 and kind in 'biu' and array.any() and case.features != 'ClusterModel':
            raise nonsense(f'refused what is right: {asked.refusal}')
        return 'refused'
    if not usable and kind in 'biuf':
        raise nonsense(f'{case.features} answered for pixels that are none')
    plain = np.asarray(array, float).reshape(len(array), 28, 28) / top
    if case.features == 'PixelFeatures' and not np.allclose(asked.value, plain.reshape(len(array), -1), atol=1e-3):
        raise nonsense('other pixels than those that were given')
    again = ask(lambda: _outcome(cls(**given), (plain * 255).round().astype(np.uint8), None))
    exact = kind in 'iu' # fractions are rounded to bytes
    if exact and (again.refusal or not np.allclose(asked.value, again.value, atol=1e-4)):
        raise nonsense(f'{case.features} differs from the same bytes as a plain array: {again.refusal}')
    return 'equal'


images_of_28 = st.builds(replace, st.one_of(stacks, right_stacks, right_stacks),
                         shape=st.sampled_from(['nhw', 'nhw', 'nhw1', 'flat', 'nhw3', 'n']),
                         size=st.tuples(st.integers(1, 12), st.just(28), st.just(28)),
                         scale=st.sampled_from([1, 1, 1 / 255, 2]))
FUZZ['features'] = Fuzz(st.builds(Rows, st.sampled_from(['PixelFeatures', 'DeskewedFeatures', 'ClusterModel']),
                                  images_of_28,
                                  st.sampled_from(['array', 'array', 'list', 'frame'])), judge_features, 10, 400)


@dataclass
class Function:
    "A public function of points."
    name: str
    points: Points


def judge_function(case, folder):
    "Oracle: scikit-learn's silhouette, and counting by brute force for suspicious labels; a picture is drawn."
    from sklearn.metrics import silhouette_score

    from mnist_clustering import draw, evaluation, kmeans
    given, plain = case.points.given(), case.points.plain()
    labels = np.arange(len(plain)) % 2
    calls = dict(elbow=lambda: kmeans.elbow(given, [2]), suspicion=lambda: evaluation.suspicion(given, labels),
                 plot_map=lambda: draw.plot_map(given, labels))
    asked = ask(calls[case.name])
    plt.close('all')
    wrong = case.points.form in WRONG or not is_finite(plain) or case.name == 'plot_map' and plain.shape[1] != 2
    if asked.refusal is not None:
        if not wrong and len(plain) > 4 and np.abs(plain).max() < 1e6 and np.abs(plain).max() > 1e-6:
            raise nonsense(f'refused what is right: {asked.refusal}')
        return 'refused'
    if wrong and case.points.form != 'text':
        nothing = case.name == 'elbow' and case.points.form == 'one' and not len(asked.value)
        if (not np.isfinite(plain).all() or case.points.form in WRONG) and not nothing:
            raise nonsense(f'{case.name} answered what is no table of real numbers ({case.points.form})')
        return 'equal'
    if case.name == 'elbow' and len(asked.value) and not case.points.outlier:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            model = kmeans.fit_kmeans(plain, 2, 2, 0)
        several = len(set(model.labels_.tolist())) == 2 and len(plain) > 2
        right = silhouette_score(plain, model.labels_) if several else np.nan
        unsure = case.points.scale != 1 or case.points.offset or case.points.form in ('float32', 'float16')
        if not unsure and not np.isclose(asked.value.silhouette[0], right, atol=.05, equal_nan=True):
            raise nonsense(f'silhouette {asked.value.silhouette[0]}, and scikit-learn {right}')
    if case.name == 'suspicion' and case.points.scale == 1 and not case.points.offset and not case.points.outlier:
        right = []
        for i, own in enumerate(labels):
            rest = np.arange(len(plain)) != i
            far = []
            for label in (own, 1 - own):
                others = plain[rest & (labels == label)]
                far.append(np.sort(np.linalg.norm(others - plain[i], axis=1))[:10])
            near = [distances.mean() if len(distances) else np.inf for distances in far]
            larger = max(near[0] if np.isfinite(near[0]) else 0, near[1])
            right.append(1. if np.isinf(near[0]) else (near[0] - near[1]) / larger if larger else 0.)
        if not np.allclose(asked.value, right, atol=.02):
            raise nonsense(f'suspicion {asked.value.tolist()}, and by counting {right}', 'suspicion')
    return 'equal'


FUZZ['functions'] = Fuzz(st.builds(Function, st.sampled_from(['elbow', 'suspicion', 'suspicion', 'plot_map']),
                                   st.one_of(points, st.builds(replace, points, d=st.just(2)))), judge_function, 5, 200)


# What was saved earlier, damaged

ODD_JSON = [None, True, 0, -1, 1.5, 1e308, 2**70, '', 'x', 'x' * 5000, '\x1b[31m', '\ud800', '<b>', [], {}, [[]],
            [None], {'a': 1},
            [1] * 3, 'NaN', '../../x', '0', 'deep']


def change_json(text: str, changes: list) -> str:
    "Replace or leave out the parts of a JSON text that these numbers choose."
    value = json.loads(text)
    for place, what, new in changes:
        new = copy.deepcopy(new) # or it would be put into itself
        holders = [(None, None)]
        waiting = [value]
        while waiting:
            node = waiting.pop()
            parts = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
            for key, part in [*parts][:40]:
                holders.append((node, key))
                waiting.append(part)
        holder, key = holders[place % len(holders)]
        if holder is None:
            value = new
        elif what == 'leave out':
            del holder[key]
        elif what == 'add' and isinstance(holder, dict):
            holder['of another time'] = new
        else:
            holder[key] = new
    text = json.dumps(value)
    return text.replace('"deep"', '[' * 3000 + ']' * 3000)


json_changes = st.lists(st.tuples(st.integers(0, 60), st.sampled_from(['replace', 'replace', 'leave out', 'add']),
                                  st.sampled_from(ODD_JSON)), min_size=1, max_size=2)


@dataclass
class Saved:
    "A file that an earlier run has left, with damage to its bytes or to what it says."
    file: str
    damage: list | None
    changes: list | None

    def spoil(self, file):
        if self.damage is not None:
            file.write_bytes(damaged(file.read_bytes(), self.damage))
        else:
            text = change_json(file.read_text(encoding='utf-8'), self.changes)
            file.write_bytes(text.encode('utf-8', 'surrogatepass'))


WORLD: dict[str, Path] = {}


def world() -> Path:
    "A folder with scans, runs, tables and files of a person; made once."
    if 'root' in WORLD and WORLD['root'].is_dir():
        return WORLD['root']
    root = Path(tempfile.mkdtemp(prefix='fuzz-world-'))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    for name in ('scans/one', 'work', 'home', 'foreign', 'cache'):
        (root / name).mkdir(parents=True)
    train, _ = load_mnist()
    for i in range(10):
        Image.fromarray(train.images[i]).save(root / 'scans' / ('one' if i % 2 else '') / f'{i}.png')
    with zipfile.ZipFile(root / 'scans.zip', 'w') as archive:
        for file in sorted(root.glob('scans/**/*.png')):
            archive.write(file, file.name)
    np.savez(root / 'scans.npz', images=train.images[:10])
    names = [image.relative_to(root / 'scans').as_posix() for image in sorted(root.glob('scans/**/*.png'))]
    np.save(root / 'rows.npy', np.random.default_rng(0).normal(size=(10, 5)))
    pd.DataFrame(np.random.default_rng(0).normal(size=(10, 3)),
                 columns=list('abc')).assign(file=names).to_parquet(root / 'rows.parquet')
    (root / 'names.txt').write_text('0 7\n1 3\n')
    (root / 'foreign/notes.txt').write_text('of a person')
    (root / 'mine.txt').write_text('of a person')
    for name, arguments in (('run', ['--limit', '28', '--features', 'pixels']),
                            ('own', [root / 'scans', '--features', 'pixels', '--n_clusters', '3'])):
        unseen = io.StringIO()
        with contextlib.redirect_stdout(unseen), contextlib.redirect_stderr(unseen), cache_at(root / 'cache'):
            cli.mnist_cluster([*map(str, arguments), '--out', str(root / name)])
    digests = pd.read_csv(root / 'own/labels.csv')['digest'].tolist()
    (root / 'corrections.json').write_text(json.dumps(dict(
        format=1, clusters=[dict(name='one', none=False, members=digests[:4]),
                            dict(name=None, none=True, members=digests[4:6])], moved=digests[:1],
        apart=[[digests[0], digests[5]]])))
    WORLD['root'] = root
    return root


@contextlib.contextmanager
def cache_at(folder: Path):
    "A cache of one's own."
    earlier = os.environ.get('MNIST_CLUSTERING_CACHE')
    os.environ['MNIST_CLUSTERING_CACHE'] = str(folder)
    try:
        yield
    finally:
        del os.environ['MNIST_CLUSTERING_CACHE']
        if earlier is not None:
            os.environ['MNIST_CLUSTERING_CACHE'] = earlier


def judge_model(case, folder):
    """Oracle: the undamaged model: the same clusters of ten images, or a refusal.

    Where the list of contents inside model.skops was rewritten on purpose, checksums included, it may be another model;
    then its answer only has to be one cluster for each image.
    """
    from mnist_clustering.model import ClusterModel
    model = shutil.copytree(world() / 'own/model', folder / 'model')
    _, test = load_mnist()
    right = ClusterModel.load(model).predict(test.images[:10])
    if case.file == 'model.skops' and case.damage is None:
        with zipfile.ZipFile(model / 'model.skops') as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        parts['schema.json'] = change_json(parts['schema.json'].decode(), case.changes).encode('utf-8', 'surrogatepass')
        with zipfile.ZipFile(model / 'model.skops', 'w') as archive:
            for name, data in parts.items():
                archive.writestr(name, data)
    else:
        case.spoil(model / case.file)
    asked = ask(lambda: ClusterModel.load(model).predict(test.images[:10]))
    if asked.refusal is not None:
        return 'refused'
    forged = case.file == 'model.skops' and case.damage is None
    if forged and len(asked.value) == 10 or np.array_equal(asked.value, right):
        return 'equal'
    raise nonsense(f'{asked.value} of a damaged model, and {right} of the whole one')


def saved(file, changes=True):
    "Strategies for one saved file."
    by_bytes = st.builds(Saved, st.just(file), damages.filter(len), st.none())
    return st.one_of(by_bytes, st.builds(Saved, st.just(file), st.none(), json_changes)) if changes else by_bytes


FUZZ['saved models'] = Fuzz(st.one_of(saved('model.json'), saved('model.skops')), judge_model, 20, 800)


def judge_corrections(case, folder):
    "Oracle: json: what is read is what the file says, or it is refused."
    from mnist_clustering.review import read_corrections
    file = Path(shutil.copy(world() / 'corrections.json', folder))
    case.spoil(file)
    asked = ask(lambda: read_corrections(file))
    if asked.refusal is not None:
        return 'refused'
    told = json.loads(file.read_text(encoding='utf-8-sig'))
    found = asked.value
    if [one['members'] for one in told['clusters']] != [one['members'] for one in found.clusters]:
        raise nonsense('other members than in the file')
    apart = [[list(pair) for pair in pairs] for pairs in (told.get('apart', []), found.apart)]
    if told['moved'] != found.moved or apart[0] != apart[1]:
        raise nonsense('other moves than in the file')
    repr(found)
    return 'equal'


FUZZ['corrections'] = Fuzz(saved('corrections.json'), judge_corrections, 10, 300)


@dataclass
class Names:
    "A file that names clusters."
    lines: list
    damage: list


def judge_names(case, folder):
    "Oracle: the definition: in each line that is not empty a cluster from 0 to 2, once, and one of the digits."
    from mnist_clustering.model import read_names
    file = folder / 'names.txt'
    file.write_bytes(damaged('\n'.join(case.lines).encode('utf-8', 'surrogatepass'), case.damage))
    asked = ask(lambda: read_names(file, 3, np.arange(10)))
    if asked.refusal is not None:
        simple = all(re.fullmatch('[0-2] [0-9]', line) for line in case.lines) and not case.damage
        if simple and len({line[0] for line in case.lines}) == len(case.lines):
            raise nonsense(f'refused what is right: {asked.refusal}')
        return 'refused'
    told = {}
    for line in file.read_bytes().decode('utf-8-sig').splitlines():
        if line.strip():
            cluster, name = line.split(maxsplit=1)
            told[int(cluster)] = int(name)
    if told != asked.value:
        raise nonsense(f'{asked.value}, and the file says {told}')
    return 'equal'


name_lines = st.one_of(st.sampled_from(['0 7', '1 3', '2 2', '0 7', '1 3', '', ' 2  9 ', '3 1', '0 ten', '0', '-1 3',
                                        '٠ 3', '² 3',
                                        '0\t7', '\ufeff0 7', '0 7 8', 'x' * 3000, '\x1b[31m 1', '\ud800 1', '0 ٧',
                                        '1e0 3']),
                       st.text(max_size=6))
FUZZ['names'] = Fuzz(st.builds(Names, st.lists(name_lines, max_size=4), damages), judge_names, 10, 300)


def judge_rows(case, folder):
    "Oracle: np.load or pandas.read_parquet: the same numbers, all of them finite and real, or a refusal."
    file = Path(shutil.copy(world() / case.file, folder))
    case.spoil(file)
    asked = ask(lambda: cli.read_rows(file))
    try:
        told = pd.DataFrame(np.load(file, allow_pickle=False)) if file.suffix == '.npy' else pd.read_parquet(file)
        told = told.set_index('file') if 'file' in told else told
        told = told.to_numpy(float)
    except Exception:
        told = None
    if asked.refusal is not None:
        return 'refused'
    if told is None or not np.array_equal(asked.value.to_numpy(float), told) or not np.isfinite(told).all():
        raise nonsense('rows that no library reads')
    return 'equal'


FUZZ['rows'] = Fuzz(st.one_of(saved('rows.npy', False), saved('rows.parquet', False)), judge_rows, 10, 300)


def judge_scores_file(case, folder):
    "Oracle: json: each share that is shown is that of the file, or the run is refused in one sentence."
    run = folder / 'run'
    run.mkdir()
    file = Path(shutil.copy(world() / 'run/scores.json', run))
    case.spoil(file)
    with cache_at(folder / 'cache'):
        ended = command(['mnist_scores', str(run)])
    if ended.sentence is not None:
        return 'refused'
    told = json.loads(file.read_text(encoding='utf-8'))
    try:
        shown = [told['test']['accuracy'], told['all']['macro_purity']]
        wanted = ['n/a' if value is None else f'{value:.2%}' for value in shown]
    except (TypeError, KeyError, ValueError):
        raise nonsense('a file without scores was shown') from None
    if any(text not in ended.said for text in wanted):
        raise nonsense(f'{wanted} is not shown')
    return 'equal'


FUZZ['scores.json'] = Fuzz(saved('scores.json'), judge_scores_file, 15, 400)


def judge_manifest(case, folder):
    "Oracle: a listing before and after: no file of a person is lost, and a refused run changes nothing."
    from mnist_clustering.store import run_folder
    run = folder / 'run'
    with run_folder(run, ['a.txt']) as part:
        (part / 'a.txt').write_text('earlier')
    (run / 'mine.txt').write_text('of a person')
    case.spoil(run / 'manifest.json')
    before = listing(folder)

    def again():
        with run_folder(run, ['a.txt']) as part:
            (part / 'a.txt').write_text('later')
    asked = ask(again)
    after = listing(folder)
    if asked.refusal is not None:
        if before != after:
            raise Fault('touched', 'something was changed by a run that was refused')
        return 'refused'
    if (run / 'mine.txt').read_text() != 'of a person' or (run / 'a.txt').read_text() != 'later':
        raise Fault('touched', 'a file of a person is lost, or the run is not the later one')
    return 'equal'


FUZZ['manifests'] = Fuzz(saved('manifest.json'), judge_manifest, 10, 300)


def judge_cache(case, folder):
    "Oracle: the work itself: whatever an entry of the cache has become, the answer is what was made."
    from mnist_clustering.store import cached
    right = dict(numbers=np.arange(20.), text=np.array(['a', 'é']))
    with cache_at(folder / 'cache'):
        cached('entry', lambda: right, key=1)
        entry = next((folder / 'cache').glob('*.npz'))
        case.spoil(entry)
        asked = ask(lambda: cached('entry', lambda: right, key=1))
    if asked.refusal is not None:
        raise nonsense(f'a damaged cache was no reason to refuse: {asked.refusal}')
    if any(not np.array_equal(asked.value[name], array) for name, array in right.items()):
        raise nonsense(f'{asked.value} from a damaged cache')
    return 'equal'


FUZZ['cache entries'] = Fuzz(saved('entry', False), judge_cache, 10, 300)


# Commands

@dataclass
class Ended:
    "How a command ended."
    said: str
    sentence: str | None # in which it refused
    where: str = ''


def command(words: list) -> Ended:
    "Run a command as one_sentence ends it; Fault for a traceback, a hang, or more than one sentence."
    said, complained = io.StringIO(), io.StringIO()

    def run():
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
            try:
                getattr(cli, words[0])(list(words[1:]))
            except SystemExit as left:
                return left.code
    try:
        code = ask(run)
    finally:
        plt.close('all')
    text = complained.getvalue()
    if 'Traceback' in said.getvalue() + text:
        raise Fault('traceback', text[:500])
    if code.refusal is not None:
        raise Fault('traceback', f'raised and did not say: {code.refusal}', words[0])
    for line in text.splitlines():
        if not line.startswith(words[0]):
            raise Fault('traceback', f'a line that does not say which command complains: {line[:300]!r}', words[0])
    if isinstance(code.value, str):
        check_sentence(code.value, f'{words[0]}: ' + re.sub(r'\W.*', '', code.value.split(': ', 1)[-1])[:30])
        return Ended(said.getvalue(), code.value)
    if code.value not in (None, 0):
        raise Fault('traceback', f'exit code {code.value} and {text[:300]!r}', words[0])
    return Ended(said.getvalue(), None)


def listing(folder: Path) -> dict:
    "Every path in a folder: size, time and digest of a file, and where a link leads."
    found = {}
    for place, folders, files in os.walk(folder):
        for name in folders:
            found[os.path.join(place, name)] = 'folder'
        for name in files:
            path = os.path.join(place, name)
            status = os.lstat(path)
            digest = blake2b(Path(path).read_bytes()).hexdigest() if stat.S_ISREG(status.st_mode) else status.st_mode
            found[path] = status.st_size, status.st_mtime_ns, digest
    return found


def parser_of(name: str):
    "The parser of a command, which it makes when it is called."
    class Found(Exception):
        pass

    def caught(self, *_):
        raise Found(self)
    parse_args = cli.Parser.parse_args
    cli.Parser.parse_args = caught
    try:
        inspect.unwrap(getattr(cli, name))([])
    except Found as found:
        return found.args[0]
    finally:
        cli.Parser.parse_args = parse_args


COMMANDS = ['mnist_cluster', 'mnist_assign', 'mnist_scores', 'mnist_features', 'mnist_compare', 'mnist_clear_cache']
ODD_TEXTS = ['', ' ', '0', '1', '3', '-1', '-0', '1e309', 'nan', 'inf', '-inf', 'auto', 'AUTO', '٣', '²', '1_0',
             '0x10', '1.5', '1e3',
             'é', 'a\0b', 'a\nb', '\x1b[31mred', 'x' * 200_000, '\udcff', '--', '-', '=', '🙂', "'", '%s', '%(prog)s',
             '{}', '{0}', 'True',
             'None', '[]', '999999999999999999999', 'nowhere', 'a' * 300, 'CON', 'a/b/c', '@mine', '@work',
             '@foreign', '@broken']
SOURCES = ['@scans', '@scans', '@scans', '@zip', '@npz']
VALID = {'out': ['@out', '@out', '@out', '@out', '@foreign', 'out', 'a/b', 'é', 'with space', '@file'],
         'corrections': ['@corrections'], 'names': ['@names', '@names'],
         'page': ['@out/index.html', 'page.html', '@mine'],
         'model': ['@own', '@own', '@own/model', '@run'], 'paths': SOURCES, 'folders': ['@run', '@run', '@own'],
         'seed': ['0', '1', '4294967295'], 'limit': ['14', '20', '28', '33'], 'n_clusters': ['auto', '2', '3', '10'],
         'seeds': ['1', '2'], 'labels': ['folders']}


def valid_values(name: str, action) -> list:
    "What a person would write behind this flag."
    if action.dest == 'features':
        files = ['@rows', '@parquet']
        return files if name == 'mnist_assign' else ['pixels', 'pixels', 'pixels', 'deskewed', *files]
    if action.dest == 'clusterer':
        return [*CLUSTERERS]
    if action.dest in VALID:
        return VALID[action.dest]
    if action.choices:
        return [*action.choices]
    parameter = cli.entry_parameters().get(action.dest)
    if parameter and parameter[0].choices:
        return [*parameter[0].choices]
    return ['auto', '1', '2', '3', '.5'] if parameter else ['1']


PARSERS = {name: parser_of(name) for name in COMMANDS}


@dataclass
class Command:
    "The words of a command line; @scans and the like stand for paths."
    words: list


def odd_texts(name):
    "Texts that nobody expects; none that leads out of the folder of the test."
    texts = st.one_of(st.sampled_from(ODD_TEXTS), st.text(max_size=5))
    return texts.filter(lambda text: not text.startswith(('/', '~')) and '..' not in text)


@st.composite
def command_lines(draw):
    name = draw(st.sampled_from(['mnist_cluster'] * 6 + COMMANDS))
    flags = [action for action in PARSERS[name]._actions
             if action.option_strings and action.dest not in ('help', 'version')]
    places = [action for action in PARSERS[name]._actions if not action.option_strings]
    words = [name]
    own = draw(st.booleans())
    for action in places:
        if action.dest == 'paths' and name == 'mnist_cluster' and not own:
            continue
        n = draw(st.sampled_from([1, 1, 1, 2])) if action.nargs else 1
        words += [draw(st.one_of(*3 * [st.sampled_from(valid_values(name, action))],
                                 odd_texts(action.dest))) for _ in range(n)]
    if name == 'mnist_features' or name == 'mnist_cluster' and not own:
        words += ['--limit', draw(st.sampled_from(VALID['limit']))]
    if name == 'mnist_cluster':
        words += ['--features', 'pixels']
    if draw(st.integers(0, 5)):
        words += ['--out', '@out'] if any(action.dest == 'out' for action in flags) else []
    for action in draw(st.lists(st.sampled_from(flags), max_size=4)) if flags else []:
        flag = action.option_strings[-1]
        if action.nargs == 0:
            words.append(flag)
            continue
        value = draw(st.one_of(*4 * [st.sampled_from(valid_values(name, action))], odd_texts(action.dest)))
        words += [f'{flag}={value}'] if draw(st.booleans()) else [flag, value]
    for _ in range(draw(st.sampled_from([0, 0, 0, 0, 0, 0, 1]))):
        odd = draw(st.sampled_from(['--help', '--version', '--nothing', '-x', '--', '']))
        words.insert(draw(st.integers(1, len(words))), odd)
    return Command(words)


def judge_command(case, folder):
    """Oracle: what was written: every image has its line, the manifest is true, and scores are scikit-learn's.

    A listing before and after tells that nothing outside of --out, the sorted copies and the cache was touched.
    """
    root = world()
    stands_for = {'@scans': root / 'scans', '@zip': root / 'scans.zip', '@npz': root / 'scans.npz',
                  '@rows': root / 'rows.npy',
                  '@parquet': root / 'rows.parquet', '@names': root / 'names.txt', '@run': root / 'run',
                  '@own': root / 'own',
                  '@corrections': root / 'corrections.json', '@foreign': root / 'foreign', '@mine': root / 'mine.txt',
                  '@file': root / 'mine.txt', '@work': root / 'work', '@out': folder / 'out',
                  '@broken': root / 'scans/one'}
    words = [re.sub('@[a-z]+', lambda found: str(stands_for.get(found[0], found[0])), word) for word in case.words]
    before = listing(root)
    here = os.getcwd()
    home = os.environ.get('HOME')
    os.chdir(root / 'work')
    os.environ['HOME'] = str(root / 'home')
    try:
        with networks_untaught(root / 'cache'), small_boards():
            ended = command(words)
        check_untouched(root, before, words)
        if ended.sentence is not None:
            return 'refused'
        check_written(words, ended)
        return 'equal'
    finally:
        os.chdir(here)
        if home is not None:
            os.environ['HOME'] = home
        for place in sorted(set(listing(root)) - set(before), reverse=True):
            if not place.startswith(str(root / 'cache')):
                os.rmdir(place) if os.path.isdir(place) and not os.path.islink(place) else os.unlink(place)


@contextlib.contextmanager
def small_boards():
    "mnist_compare with a board that takes no hours: two rows of each table."
    from mnist_clustering import compare
    kept = compare.board_rows, compare.budget_rows

    def missing(train, test, seeds, done):
        n = len(train) + len(test)
        there = set() if done is None else set(zip(done.n, done.seed))
        return n, [seed for seed in range(min(seeds, 2)) if (n, seed) not in there]

    def board_rows(train, test, seeds, done=None):
        n, seeds = missing(train, test, seeds, done)
        for seed in seeds:
            yield dict(n=n, features='pixels', clusterer='KMeans', seed=seed, n_clusters=10, accuracy=.5,
                       accuracy_test=.5,
                       nmi=.5, ari=.5, coverage=1., seconds=1., mb=1., seconds_features=1., mb_features=1.)

    def budget_rows(train, test, seeds, done=None):
        n, seeds = missing(train, test, seeds, done)
        for seed in seeds:
            yield dict(n=n, n_labels=10, seed=seed, accuracy_test=.5)
    compare.board_rows, compare.budget_rows = board_rows, budget_rows
    try:
        yield
    finally:
        compare.board_rows, compare.budget_rows = kept


def options_of(words: list):
    "What a command line says, as argparse reads it; None where it asks for help or makes no sense."
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            return PARSERS[words[0]].parse_args(words[1:])
        except (ValueError, SystemExit):
            return None


def check_untouched(root, before, words):
    "Fault if anything of a person has changed, or if something new lies outside of the folders that were named."
    after = listing(root)
    changed = [path for path,
               what in before.items() if after.get(path) != what and not path.startswith(str(root / 'cache'))]
    if changed:
        WORLD.clear()
        raise Fault('touched', f'{changed[:3]}', f'{words[0]} changed something')
    options = options_of(words)
    named = [getattr(options, name, None) for name in ('out', 'page')]
    named = [Path.cwd() / place for place in named if place is not None]
    allowed = [root / 'cache', Path.cwd() / 'output', *named, *(Path(f'{place}-sorted') for place in named)]
    for path in set(after) - set(before):
        beside = [str(place) for place in allowed]
        inside = any(path == place or path.startswith(f'{place}/') or place.startswith(f'{path}/') for place in beside)
        if not inside:
            raise Fault('touched', f'{path} is new', f'{words[0]} wrote elsewhere')
        if '.part-' in path:
            raise Fault('touched', f'{path} was left behind', f'{words[0]} left a part')


def check_manifest(folder: Path):
    "Fault unless the files of a run are those of its manifest."
    listed = json.loads((folder / 'manifest.json').read_text())
    for name, entry in listed['files'].items():
        data = (folder / name).read_bytes()
        if len(data) != entry['bytes'] or blake2b(data, digest_size=12).hexdigest() != entry['blake2b']:
            raise nonsense(f'{name} is not as in the manifest')


def check_written(words, ended):
    "Fault unless what a command wrote agrees with itself and with scikit-learn."
    from sklearn.metrics import normalized_mutual_info_score
    options = options_of(words)
    if options is None or words[0] in ('mnist_clear_cache', 'mnist_compare'):
        return
    if words[0] == 'mnist_scores':
        for run in options.folders:
            told = json.loads((run / 'scores.json').read_text())
            if f"{told['test']['accuracy']:.2%}" not in ended.said:
                raise nonsense(f'the scores of {run} are not shown')
        return
    if getattr(options, 'dry_run', False):
        return
    out = options.out or Path(re.search(r'Everything is in (.+?); open', ended.said)[1])
    check_manifest(out)
    if words[0] == 'mnist_features':
        if np.load(out / 'features.npy').shape != (options.limit, 128):
            raise nonsense('features.npy has another shape than asked for')
        return
    table = pd.read_csv(out / 'labels.csv', keep_default_na=False, na_values=[''])
    if not options.paths:
        told = json.loads((out / 'scores.json').read_text())
        nmi = normalized_mutual_info_score(table.label, table.cluster)
        right = (table['name'] == table.label).mean()
        agrees = np.allclose([nmi, right], [told['all']['nmi'], told['all']['accuracy']])
        if told['n'] != len(table) or not agrees:
            raise nonsense(f"scores {told['all']}, and by labels.csv nmi {nmi} and accuracy {right}")
    else:
        n_images = sum(5 if Path(path).name == 'one' else 10 for path in options.paths)
        if len(table) != n_images:
            raise nonsense(f'{len(table)} lines for {n_images} images')
    asked_for = getattr(options, 'n_clusters', None)
    if asked_for and asked_for.isdecimal() and not options.corrections and not (out / 'kept_corrections.json').exists():
        found = table.cluster[table.cluster >= 0].nunique()
        if found > int(asked_for) or options.clusterer in ('ward', 'kmeans') and found != int(asked_for):
            raise nonsense(f'{found} clusters, not {asked_for}')


FUZZ['command lines'] = Fuzz(command_lines(), judge_command, 40, 1200)
