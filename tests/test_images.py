"Images from anywhere: damaged files, archives, odd names, unclear paper, and memory that does not grow."
import gzip
import io
import os
import re
import signal
import struct
import subprocess
import sys
import tarfile
import time
import tracemalloc
import zipfile
import zlib
from hashlib import blake2b

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits

from mnist_clustering import images as room
from mnist_clustering.data import load_mnist
from mnist_clustering.images import Item, OwnImages, find_items, load_images, natural_order, prepare_image, read_item
from mnist_clustering.store import cached, clear_cache, walk

TEST = load_mnist()[1]
DIGIT = TEST.images[0]


def encode(pixels, format='PNG', **options):
    "An image as the bytes of a file."
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, format, **options)
    return data.getvalue()


PNG = encode(DIGIT)


def scan(height=60, width=50):
    "An L, dark on light, which tells up from down and left from right."
    pixels = np.full((height, width), 240, np.uint8)
    pixels[10:height - 8, 12:17] = pixels[height - 14:height - 8, 12:width - 10] = 30
    return pixels


def reasons(loaded):
    return dict(loaded.skipped.to_numpy().tolist())


# What files hold

@pytest.mark.parametrize('format', ['BMP', 'GIF', 'PNG', 'PPM', 'TIFF', 'WEBP'])
def test_every_lossless_format_gives_the_same(format, tmp_path):
    options = dict(lossless=True) if format == 'WEBP' else {}
    (tmp_path / 'a').write_bytes(encode(DIGIT, format, **options)) # a file without an ending is tried
    assert np.array_equal(load_images(tmp_path).images[0], DIGIT)


@pytest.mark.parametrize('format', ['BMP', 'GIF', 'JPEG', 'PNG', 'TIFF', 'WEBP'])
def test_a_file_that_is_cut_short_is_skipped_and_counted(format, tmp_path):
    data = encode(scan(200, 200), format)
    (tmp_path / 'cut.png').write_bytes(data[:len(data) // 2])
    (tmp_path / 'whole.png').write_bytes(PNG)
    loaded = load_images(tmp_path)
    assert loaded.names.tolist() == ['whole.png']
    assert list(reasons(loaded)) == ['cut.png']
    with pytest.raises(ValueError, match='cut.png cannot be read: '):
        load_images(tmp_path, on_error='raise')


def test_reasons_are_the_same_on_every_machine(tmp_path):
    for name, data in (('a.png', b''), ('b.png', b'text'), ('c.png', PNG[:60]), ('d.png', PNG)):
        (tmp_path / name).write_bytes(data)
    first, second = reasons(load_images(tmp_path)), reasons(load_images(tmp_path))
    assert first == second and first.keys() == {'a.png', 'b.png', 'c.png'}
    assert not any('0x' in reason or str(tmp_path) in reason for reason in first.values())


def chunk(kind, data):
    return len(data).to_bytes(4, 'big') + kind + data + zlib.crc32(kind + data).to_bytes(4, 'big')


@pytest.mark.parametrize('side', [9_000, 50_000])
def test_a_decompression_bomb_is_refused_before_it_is_unpacked(side, tmp_path):
    head = side.to_bytes(4, 'big') * 2 + bytes([8, 0, 0, 0, 0])
    parts = chunk(b'IHDR', head), chunk(b'IDAT', zlib.compress(bytes(10_000))), chunk(b'IEND', b'')
    (tmp_path / 'bomb.png').write_bytes(b'\x89PNG\r\n\x1a\n' + b''.join(parts))
    (tmp_path / 'whole.png').write_bytes(PNG)
    tracemalloc.start()
    loaded = load_images(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 'one character has' in reasons(loaded)['bomb.png'] and peak < 20e6


def test_a_picture_that_lies_on_its_side_is_turned(tmp_path):
    upright = load_images(scan()[None]).images[0]
    exif = Image.Exif()
    exif[0x0112] = 6 # turn it to the right
    (tmp_path / 'turned.png').write_bytes(encode(np.rot90(scan()).copy(), exif=exif))
    turned = load_images(tmp_path)
    assert np.array_equal(turned.images[0], upright)


@pytest.mark.parametrize('top', [255, 1023, 4095, 65535])
@pytest.mark.parametrize('format', ['PNG', 'TIFF'])
def test_sixteen_bits_may_hold_fewer(top, format, tmp_path):
    (tmp_path / 'deep').write_bytes(encode((DIGIT / 255 * top).round().astype(np.uint16), format))
    loaded = load_images(tmp_path / 'deep').images[0]
    assert np.abs(loaded.astype(int) - DIGIT).max() <= 1


def test_floats_one_bit_and_palettes(tmp_path):
    Image.fromarray(DIGIT.astype(np.float32) / 255).save(tmp_path / 'float.tif')
    Image.fromarray(DIGIT).convert('P').save(tmp_path / 'palette.png')
    Image.fromarray(DIGIT).convert('CMYK').save(tmp_path / 'print.tif')
    Image.fromarray(DIGIT > 127).save(tmp_path / 'bit.tif')
    loaded = load_images(tmp_path)
    by_name = dict(zip(loaded.names, loaded.images.astype(int)))
    for name in ('float.tif', 'palette.png', 'print.tif'):
        assert np.abs(by_name[name] - DIGIT).max() <= 2, name
    assert np.abs(by_name['bit.tif'] - DIGIT).mean() < 15


def test_pages_are_images_and_small_copies_are_not(tmp_path):
    pages = [Image.fromarray(image) for image in TEST.images[:4]]
    pages[0].save(tmp_path / 'a.tif', save_all=True, append_images=pages[1:])
    loaded = load_images(tmp_path)
    assert loaded.names.tolist() == ['a.tif', 'a.tif#2', 'a.tif#3', 'a.tif#4']
    assert np.array_equal(loaded.images, TEST.images[:4])
    assert loaded.done['digest'].is_unique
    data = (tmp_path / 'a.tif').read_bytes()
    (tmp_path / 'a.tif').write_bytes(data[:len(data) - 100])
    cut = load_images(tmp_path)
    assert np.array_equal(cut.images, TEST.images[:3]) and list(reasons(cut)) == ['a.tif#4']
    small = Image.fromarray(DIGIT)
    small.encoderinfo = {}
    pages[0].save(tmp_path / 'b.tif', save_all=True, append_images=[small])
    assert load_images(tmp_path / 'b.tif').names.tolist() == ['b.tif', 'b.tif#2']


def test_of_a_moving_picture_the_first_is_taken(tmp_path):
    frames = [Image.fromarray(image) for image in TEST.images[:3]]
    frames[0].save(tmp_path / 'a.gif', save_all=True, append_images=frames[1:])
    loaded = load_images(tmp_path)
    assert np.array_equal(loaded.images, TEST.images[:1])
    assert loaded.done['warning'].tolist() == ['moving, first picture taken']


def test_a_photograph_among_characters_is_made_smaller_and_noted(tmp_path):
    large = np.kron(scan(), np.ones((50, 50), np.uint8)) # 3,000 x 2,500
    Image.fromarray(large).save(tmp_path / 'large.jpg')
    for i in range(5):
        Image.fromarray(scan()).save(tmp_path / f'{i}.png')
    loaded = load_images(tmp_path)
    assert loaded.done['warning'].tolist() == [''] * 5 + ['much larger than the others']
    assert loaded.done[['width', 'height']].iloc[5].tolist() == [2500, 3000]
    assert np.abs(loaded.images[5].astype(int) - loaded.images[0]).mean() < 6


# Folders and names

def test_links_that_go_round_in_circles_are_followed_once(tmp_path):
    (tmp_path / 'a' / 'b').mkdir(parents=True)
    (tmp_path / 'a' / '1.png').write_bytes(PNG)
    (tmp_path / 'a' / 'b' / '2.png').write_bytes(PNG)
    (tmp_path / 'a' / 'b' / 'back').symlink_to(tmp_path / 'a')
    (tmp_path / 'again').symlink_to(tmp_path / 'a')
    (tmp_path / 'itself').symlink_to('itself')
    loaded = load_images(tmp_path)
    assert loaded.names.tolist() == ['a/1.png', 'a/b/2.png']
    assert list(reasons(loaded)) == ['itself']


def test_what_systems_leave_behind_is_no_image_and_a_pipe_is_not_opened(tmp_path):
    for name in ('.DS_Store', '.hidden.png', 'Thumbs.db', 'desktop.ini', '__MACOSX/._1.png', '.git/2.png', '1.png'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(PNG)
    os.mkfifo(tmp_path / 'pipe.png')
    (tmp_path / 'notes.txt').write_text('text')
    loaded = load_images(tmp_path)
    assert loaded.names.tolist() == ['1.png']
    assert reasons(loaded) == {'notes.txt': 'its name does not end in .png, .jpg or the like',
                               'pipe.png': 'a device or a pipe, not a file'}
    (tmp_path / 'pipe.png').unlink()
    assert len(load_images(tmp_path, on_error='raise')) == 1 # notes beside images are no error


def test_a_file_that_vanishes_while_others_are_read_is_counted(tmp_path, monkeypatch):
    for i in range(3):
        (tmp_path / f'{i}.png').write_bytes(PNG)
    items = list(find_items(tmp_path))
    (tmp_path / '1.png').unlink()
    monkeypatch.setattr('mnist_clustering.images.find_items', lambda source: iter(items))
    loaded = load_images(tmp_path)
    assert loaded.names.tolist() == ['0.png', '2.png']
    assert reasons(loaded) == {'1.png': 'there is no such file'}


def test_a_name_that_is_no_text_can_be_written(tmp_path):
    path = os.path.join(os.fsencode(tmp_path), b'caf\xe9.png')
    with open(path, 'wb') as file:
        file.write(PNG)
    loaded = load_images(tmp_path)
    assert loaded.names.tolist() == ['caf\\xe9.png']
    loaded.done.to_parquet(tmp_path / 'done.parquet')
    assert len(load_images([os.fsdecode(path)])) == 1


def test_names_that_command_a_screen_are_spelled_out(tmp_path):
    for name in ('a\nb.png', 'a\x1b[31m.png', '<b>.png'):
        (tmp_path / name).write_bytes(PNG)
    loaded = load_images(tmp_path)
    assert sorted(loaded.names) == ['<b>.png', 'a\\nb.png', 'a\\x1b[31m.png']
    assert sorted(map(os.path.basename, loaded.done['path'])) == [b'<b>.png', b'a\nb.png', b'a\x1b[31m.png']


def test_numbers_are_sorted_by_their_size():
    names = ['1.png', '2.png', '02.png', '10.png', '10a.png', '010b.png', '11.png', 'a.png', 'A1.png', 'a1.png',
             'a1b.png', 'a9999999999.png', 'a10000000000.png', 'a b.png', 'a-1.png', 'ab.png']
    parts = [re.split(r'(\d+)', name.casefold()) for name in names]
    by_size = [[int(part) if part.isdigit() else part for part in of_name] for of_name in parts]
    order = sorted(range(len(names)), key=lambda i: (by_size[i], names[i]))
    assert sorted(names, key=natural_order) == [names[i] for i in order]


@pytest.mark.skipif(not hasattr(os, 'mkfifo'), reason='no pipes here')
def test_pipes_and_devices_are_never_opened(tmp_path):
    os.mkfifo(tmp_path / 'pipe.png')
    (tmp_path / '1.png').write_bytes(PNG)
    (tmp_path / 'list.txt').write_text('1.png\npipe.png\n/dev/zero\n')
    assert list(reasons(load_images(tmp_path / 'list.txt'))) == ['pipe.png', '/dev/zero']
    for source in (tmp_path / 'pipe.png', '/dev/zero'):
        with pytest.raises(ValueError, match='is a device or a pipe'):
            load_images(source)


def test_names_are_sorted_as_people_count(tmp_path):
    for name in ('10.png', '9.png', 'b/1.png', 'a/2.png', 'a/10.png', 'A/3.png'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(PNG)
    wanted = ['9.png', '10.png', 'A/3.png', 'a/2.png', 'a/10.png', 'b/1.png']
    assert load_images(tmp_path).names.tolist() == wanted
    with zipfile.ZipFile(tmp_path / 'all.zip', 'w') as archive:
        for name in sorted(wanted):
            archive.write(tmp_path / name, name)
    with tarfile.open(tmp_path / 'all.tar', 'w') as archive:
        for name in sorted(wanted):
            archive.add(tmp_path / name, name)
    for name in ('all.zip', 'all.tar'):
        found = load_images(tmp_path / name).names.tolist()
        assert found[:2] == wanted[:2] and sorted(found) == sorted(wanted)


def test_folders_are_labels_when_asked(tmp_path):
    for name in ('one/1.png', 'two/2.png', '3.png'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(PNG)
    assert load_images(tmp_path).labels is None
    assert load_images(tmp_path, labels='folders').labels.tolist() == [None, 'one', 'two']


# Archives

def test_no_path_leaves_a_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / 'a.zip', 'w') as archive:
        for name in ('../up.png', '/root.png', 'a/../../up.png', 'C:/disk.png', 'a/b.png'):
            archive.writestr(name, PNG)
        link = zipfile.ZipInfo('link.png')
        link.external_attr = 0o120777 << 16
        archive.writestr(link, '/etc/passwd')
    loaded = load_images(tmp_path / 'a.zip')
    assert loaded.names.tolist() == ['a/b.png']
    assert len(loaded.skipped) == 5
    assert sorted(os.listdir(tmp_path)) == ['a.zip']


def test_no_path_leaves_a_tar(tmp_path):
    with tarfile.open(tmp_path / 'a.tar.gz', 'w:gz') as archive:
        for name in ('../up.png', '/root.png', './a/b.png'):
            info = tarfile.TarInfo(name)
            info.size = len(PNG)
            archive.addfile(info, io.BytesIO(PNG))
        for name, kind in (('link', tarfile.SYMTYPE), ('hard', tarfile.LNKTYPE), ('device', tarfile.CHRTYPE)):
            info = tarfile.TarInfo(f'{name}.png')
            info.type, info.linkname = kind, '/etc/passwd'
            archive.addfile(info)
    loaded = load_images(tmp_path / 'a.tar.gz')
    assert loaded.names.tolist() == ['a/b.png']
    assert sorted(reasons(loaded)) == ['../up.png', '/root.png', 'device.png', 'hard.png', 'link.png']


def pack_tar(path, files):
    with tarfile.open(path, 'w:gz') as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def pack_zip(path, files):
    with zipfile.ZipFile(path, 'w') as archive:
        for name, data in files.items():
            archive.writestr(name, data)


def test_an_archive_in_a_folder_is_read_like_a_folder(tmp_path):
    (tmp_path / 'b').mkdir()
    (tmp_path / 'b' / '0.png').write_bytes(encode(TEST.images[0]))
    files = {name: encode(TEST.images[i + 1]) for i, name in enumerate(('1.png', '2.png', 'in/3.png'))}
    pack_zip(tmp_path / 'a.zip', files | {'notes.txt': b'', '../up.png': PNG, 'inner.tgz': b''})
    pack_tar(tmp_path / 'b' / 'C.TAR.GZ', {'4.png': encode(TEST.images[4])})
    loaded = load_images(tmp_path, labels='folders')
    assert loaded.names.tolist() == ['a.zip/1.png', 'a.zip/2.png', 'a.zip/in/3.png', 'b/0.png', 'b/C.TAR.GZ/4.png']
    assert loaded.labels.tolist() == ['a', 'a', 'in', 'b', 'C']
    assert np.array_equal(loaded.images, TEST.images[[1, 2, 3, 0, 4]])
    assert [bool(path) for path in loaded.done['path']] == [False] * 3 + [True, False]
    assert reasons(loaded) == {
        'a.zip/../up.png': 'its name leads out of the archive',
        'a.zip/inner.tgz': 'an archive in an archive is not opened: unpack the outer one',
        'a.zip/notes.txt': 'its name does not end in .png, .jpg or the like'}


def test_a_damaged_archive_in_a_folder_is_skipped_with_a_reason(tmp_path):
    (tmp_path / '1.png').write_bytes(PNG)
    for name in ('a.zip', 'b.tar', 'c.tgz'):
        (tmp_path / name).write_bytes(b'nothing of the kind')
    (tmp_path / 'd.7z').write_bytes(b'7z')
    loaded = load_images(tmp_path)
    assert loaded.names.tolist() == ['1.png']
    damaged = {name: reason.split(' (')[0] for name, reason in reasons(loaded).items()}
    assert damaged == {name: 'the archive is cut short or damaged' for name in ('a.zip', 'b.tar', 'c.tgz')} | {
        'd.7z': 'an archive of a kind that is not read: unpack it'}
    with pytest.raises(ValueError, match='a.zip cannot be read'):
        load_images(tmp_path, on_error='raise')


def test_one_name_twice_in_an_archive_is_two_images(tmp_path):
    with pytest.warns(UserWarning, match='Duplicate'), zipfile.ZipFile(tmp_path / 'a.zip', 'w') as archive:
        for image in TEST.images[:3]:
            archive.writestr('a.png', encode(image))
    loaded = load_images(tmp_path / 'a.zip')
    assert loaded.names.tolist() == loaded.done['name'].tolist() == ['a.png', 'a.png (2)', 'a.png (3)']
    assert np.array_equal(loaded.images, TEST.images[:3])


@pytest.mark.parametrize('kind', ['zip', 'tar.gz', 'tar'])
def test_a_damaged_archive_gives_what_is_whole_or_one_sentence(kind, tmp_path):
    random = np.random.default_rng(0)
    noisy = [encode(random.integers(0, 255, (60, 60), np.uint8)) for _ in range(20)]
    path = tmp_path / f'a.{kind}'
    if kind == 'zip':
        with zipfile.ZipFile(path, 'w') as archive:
            for i, data in enumerate(noisy):
                archive.writestr(f'{i}.png', data)
        data = bytearray(path.read_bytes())
        data[5_000:5_010] = bytes(10) # somewhere in the second image
        path.write_bytes(data)
        assert len(load_images(path)) == 19
    else:
        with tarfile.open(path, 'w:gz' if 'gz' in kind else 'w') as archive:
            for i, data in enumerate(noisy):
                info = tarfile.TarInfo(f'{i}.png')
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        path.write_bytes(path.read_bytes()[:40_000])
        loaded = load_images(path)
        assert 5 < len(loaded) < 20 and len(loaded.skipped) >= 1
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match='holds no images|cannot be read|cut short'):
        load_images(path)


# Arrays and tables

def write_idx(path, array, opener=open):
    with opener(path, 'wb') as file:
        file.write(bytes([0, 0, 8, array.ndim]) + np.array(array.shape, '>u4').tobytes() + array.tobytes())


def test_idx_as_mnist_is_distributed(tmp_path):
    write_idx(tmp_path / 't10k-images-idx3-ubyte.gz', TEST.images[:20], gzip.open)
    write_idx(tmp_path / 't10k-labels-idx1-ubyte.gz', TEST.labels[:20], gzip.open)
    loaded = load_images(tmp_path / 't10k-images-idx3-ubyte.gz')
    assert np.array_equal(loaded.images, TEST.images[:20]) and np.array_equal(loaded.labels, TEST.labels[:20])
    assert loaded.names[17] == 'row 17'
    data = (tmp_path / 't10k-images-idx3-ubyte.gz').read_bytes()
    for cut in (data[:-500], gzip.compress(gzip.decompress(data)[:-1])):
        (tmp_path / 't10k-images-idx3-ubyte.gz').write_bytes(cut)
        with pytest.raises(ValueError, match='cut short or damaged'):
            load_images(tmp_path / 't10k-images-idx3-ubyte.gz')


@pytest.mark.parametrize('shape', [(2**31, 28, 28), (2**31,) * 4, (30, 28)])
def test_an_idx_file_that_promises_more_than_it_has_takes_no_memory(shape, tmp_path):
    head = bytes([0, 0, 8, len(shape)]) + np.array(shape, '>u4').tobytes()
    (tmp_path / 'plain').write_bytes(head + bytes(500))
    (tmp_path / 'packed').write_bytes(gzip.compress(head + bytes(500)))
    for name in ('plain', 'packed'):
        tracemalloc.start()
        with pytest.raises(ValueError, match='cut short or damaged: 500 bytes of'):
            load_images(tmp_path / name)
        assert tracemalloc.get_traced_memory()[1] < 5e6
        tracemalloc.stop()


def test_labels_that_are_no_idx_file_are_refused(tmp_path):
    write_idx(tmp_path / 'a-images-idx3-ubyte', TEST.images[:5])
    for data in (b'', b'text that is long enough'):
        (tmp_path / 'a-labels-idx1-ubyte').write_bytes(data)
        with pytest.raises(ValueError, match='a-labels-idx1-ubyte is no IDX file'):
            load_images(tmp_path / 'a-images-idx3-ubyte')


def test_nan_is_found_where_it_is():
    pixels = TEST.images[:30].astype(float)
    pixels[17, 3, 3] = np.nan
    with pytest.raises(ValueError, match='the array has NaN in row 17: '):
        load_images(pixels)
    with pytest.raises(ValueError, match='the table has NaN in row 17: '):
        load_images(pd.DataFrame(pixels.reshape(30, -1)))
    pixels[17, 3, 3] = np.inf
    with pytest.raises(ValueError, match='the array has infinity in row 17: '):
        load_images(pixels)


def test_a_table_with_one_endless_line_is_refused(tmp_path):
    (tmp_path / 'a.csv').write_text('1,' * 6_000_000)
    with pytest.raises(ValueError, match='its first line has more than 10,000,000 characters'):
        load_images(tmp_path / 'a.csv')
    (tmp_path / 'a.csv').write_text('a,b,c\n1,2,3,4\n')
    with pytest.raises(ValueError, match='cannot be read as a table') as refused:
        load_images(tmp_path / 'a.csv')
    assert '\n' not in str(refused.value)


def test_several_arrays_need_a_choice(tmp_path):
    np.savez(tmp_path / 'a.npz', x_train=TEST.images[:3], x_test=TEST.images[3:5])
    with pytest.raises(ValueError, match=r"x_train, x_test: give np.load\(file\)\['name'\]"):
        load_images(tmp_path / 'a.npz')
    np.savez(tmp_path / 'a.npz', images=TEST.images[:3], labels=TEST.labels[:3], raw=TEST.images[:3, :16, :16])
    assert np.array_equal(load_images(tmp_path / 'a.npz').labels, TEST.labels[:3])
    (tmp_path / 'a.npz').write_bytes((tmp_path / 'a.npz').read_bytes()[:500])
    with pytest.raises(ValueError, match='a.npz cannot be read as arrays of numbers'):
        load_images(tmp_path / 'a.npz')


RANGES = [(bool, 1), (np.uint8, 1), (float, 1), (float, 16), (float, 255), (np.int64, 255), (np.uint16, 65535)]


@pytest.mark.parametrize('dtype, top', RANGES)
@pytest.mark.parametrize('inverted', [False, True])
def test_numbers_of_every_range_are_understood(dtype, top, inverted):
    share = TEST.images[:30] / 255
    share = 1 - share if inverted else share
    has_greys = top > 1 or dtype is float
    loaded = load_images(share * top if dtype is float else (share * top).round().astype(dtype))
    assert loaded.done['inverted'].eq(inverted).all()
    assert np.abs(loaded.images.astype(int) - TEST.images[:30]).mean() < (1 if has_greys else 10)


@pytest.mark.parametrize('source, words', [
    (np.zeros((3, 28, 28)) - 1, 'pixels from -1.0 to -1.0'),
    (np.full((3, 28, 28), np.nan), 'has NaN in row 0'),
    (np.zeros((3, 28, 28, 4)), r'not \(n, height, width\)'),
    (np.zeros((0, 28, 28)), 'holds no images'),
    ([], 'holds no images'),
    (pd.DataFrame({'label': [1, 2]}), 'no column of images'),
    ('nowhere.zip', 'does not exist'),
    (5, 'this int is no source of images: give a folder'),
    ({'a': 1}, 'this dict is no source of images'),
])
def test_what_cannot_be_images_is_refused_in_one_sentence(source, words):
    with pytest.raises(ValueError, match=words):
        load_images(source)


def test_tables_of_everything(tmp_path):
    paths = [tmp_path / f'{i}.png' for i in range(6)]
    for path, image in zip(paths, TEST.images):
        path.write_bytes(encode(image))
    data = [path.read_bytes() for path in paths]
    labels = TEST.labels[:6].tolist()
    pixels = pd.DataFrame(TEST.images[:6].reshape(6, -1)).add_prefix('pixel')
    (tmp_path / 'list.txt').write_text('\n'.join(path.name for path in paths) + '\n\n')
    cells = [dict(bytes=one, path=None) for one in data]
    pd.DataFrame({'y': labels, 'image': cells}).to_parquet(tmp_path / 'a.parquet')
    pd.DataFrame({'img': data}).to_parquet(tmp_path / 'b.parquet')
    pixels.assign(**{'class': labels}).to_csv(tmp_path / 'last.csv', index=False)
    pixels.to_csv(tmp_path / 'semicolon.csv', index=False, sep=';')
    (tmp_path / 'labelled.csv').write_text(''.join(f'{path.name},{label}\n' for path, label in zip(paths, labels)))
    pd.DataFrame({'image': TEST.images[:6].reshape(6, 28, 28).tolist()}).to_parquet(tmp_path / 'nested.parquet')
    frames = [pd.DataFrame({'image': [Image.open(path) for path in paths]}), pd.DataFrame({'x': list(TEST.images[:6])})]
    names = 'list.txt a.parquet b.parquet last.csv semicolon.csv labelled.csv nested.parquet'.split()
    for source in [*(tmp_path / name for name in names), *frames, pixels, paths, data]:
        loaded = load_images(source)
        assert np.array_equal(loaded.images, TEST.images[:6]), source
    for name in ('a.parquet', 'last.csv', 'labelled.csv'):
        assert load_images(tmp_path / name).labels.tolist() == labels


def test_the_same_bytes_have_the_same_digest_wherever_they_lie(tmp_path):
    (tmp_path / 'a.png').write_bytes(PNG)
    with zipfile.ZipFile(tmp_path / 'a.zip', 'w') as archive:
        archive.writestr('b.png', PNG)
    sources = tmp_path / 'a.png', tmp_path / 'a.zip', [PNG], pd.DataFrame({'image': [dict(bytes=PNG, path='c.png')]})
    assert len({load_images(source).done['digest'][0] for source in sources}) == 1
    rows = [TEST.images[:1], TEST.images[:1].reshape(1, -1), TEST.images[:1].astype(float)]
    assert len({load_images(row).done['digest'][0] for row in rows}) == 1


# What is done to an image

def test_a_lone_image_decides_by_itself_and_a_clear_one_against_all():
    tight = scan()[10:52, 12:40] # ink on two sides
    assert load_images(tight[None]).done['inverted'].tolist() == [True]
    mixed = np.stack([scan()] * 30 + [255 - scan()])
    loaded = load_images(mixed)
    assert loaded.done['inverted'].tolist() == [True] * 30 + [False]
    assert np.abs(loaded.images[30].astype(int) - loaded.images[0]).mean() < 1


@pytest.mark.parametrize('darkest', [.35, .6, .8])
def test_a_shadow_changes_little(darkest):
    paper = np.linspace(1, darkest, 50) * np.linspace(1, .9, 60)[:, None]
    shaded = (scan() * paper).astype(np.float32)
    even, levelled = (prepare_image(grey, invert=True) for grey in (scan().astype(np.float32), shaded))
    assert levelled.levelled
    assert np.abs(even.image.astype(int) - levelled.image).mean() < 6


def test_blank_paper_is_blank_however_it_looks():
    random = np.random.default_rng(0)
    noise = random.normal(230, 6, (70, 50)).clip(0, 255)
    shade = np.outer(np.linspace(240, 150, 70), np.linspace(1, .8, 50))
    dust = np.full((70, 50), 250.)
    dust[[10, 40], [30, 20]] = 0
    pages = [noise, shade, shade + random.normal(0, 3, shade.shape), dust, np.zeros((70, 50)), np.full((70, 50), 255.)]
    loaded = load_images([page.astype(np.uint8) for page in pages])
    assert loaded.blank.all() and loaded.done['warning'].eq('blank').all()


def on_paper(ink, noise, random, paper=170, dark=60):
    "Ink of 0 to 255 on grey paper, with noise everywhere."
    share = ink / 255
    grey = paper * (1 - share) + dark * share + random.normal(0, noise, ink.shape)
    return grey.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize('factor, noise, least', [(1, 10, .98), (1, 15, .95), (1, 20, .92), (3, 15, .97), (3, 25, .93)])
def test_noise_on_grey_paper_breaks_no_strokes(factor, noise, least):
    random = np.random.default_rng(0)
    digits = [np.kron(image, np.ones((factor, factor), np.uint8)) for image in TEST.images[:100]]
    clean, noisy = (load_images([on_paper(digit, sd, random) for digit in digits]) for sd in (0, noise))
    likeness = []
    for first, second in zip(clean.images, noisy.images):
        moved = [np.roll(second, by, (0, 1)) for by in np.ndindex(3, 3)] # by a pixel at most, below
        likeness.append(max(np.corrcoef(first.ravel(), np.roll(image, -1, (0, 1)).ravel())[0, 1] for image in moved))
    assert np.mean(likeness) > least
    assert not noisy.blank.any()
    assert noisy.done['warning'].str.contains('several').sum() <= 1


@pytest.mark.parametrize('side', [28, 60, 150])
@pytest.mark.parametrize('noise', [5, 20])
def test_noisy_paper_without_ink_is_blank(side, noise):
    random = np.random.default_rng(0)
    assert load_images([on_paper(np.zeros((side, side)), noise, random) for _ in range(50)]).blank.all()


# What was read before

@pytest.fixture
def small_batches(monkeypatch, tmp_path):
    "A folder of 120 images in batches of some twenty, with a cache of its own, and a list of the names that are read."
    monkeypatch.setenv('MNIST_CLUSTERING_CACHE', str(tmp_path / 'cache'))
    monkeypatch.setattr(room, 'LEAST', 20)
    monkeypatch.setattr(room, 'SETTLED', -1e9) # the files were made just now
    folder = tmp_path / 'scans'
    folder.mkdir()
    for i, image in enumerate(TEST.images[:120]):
        (folder / f'{i}.png').write_bytes(encode(image))
    monkeypatch.setattr(room, '_ends_batch', lambda name: name.endswith('5.png'))
    names = []
    read_pages = room.read_pages

    def counted(item):
        names.append(item.name)
        return read_pages(item)
    monkeypatch.setattr(room, 'read_pages', counted)
    return folder, names


def assert_same(one, other):
    assert np.array_equal(one.images, other.images)
    assert np.array_equal(one.names, other.names)
    pd.testing.assert_frame_equal(one.done, other.done)
    pd.testing.assert_frame_equal(one.skipped, other.skipped)


def test_files_that_did_not_change_are_not_read_again(small_batches):
    folder, names = small_batches
    pages = [Image.fromarray(image) for image in TEST.images[:3]]
    pages[0].save(folder / '50.tif', save_all=True, append_images=pages[1:])
    Image.fromarray(scan()[10:52, 12:40]).save(folder / '51a.png') # its border does not tell, so it has two choices
    (folder / '52.txt').write_text('no image')
    want = load_images(folder)
    first = load_images(folder, keep=cached)
    names.clear()
    second = load_images(folder, keep=cached)
    assert len(names) < 20 # the end of the folder, which is no whole batch
    assert_same(first, want)
    assert_same(second, want)
    assert clear_cache() > 0
    names.clear()
    load_images(folder, keep=cached)
    assert len(names) == 123


def test_a_changed_a_new_and_a_lost_file_are_noticed(small_batches):
    folder, names = small_batches
    load_images(folder, keep=cached)
    for change in ('bytes of the same number and time', 'new', 'lost'):
        file = folder / '30.png'
        if change == 'new':
            (folder / '30a.png').write_bytes(encode(TEST.images[5]))
        elif change == 'lost':
            file.unlink()
        else:
            times = file.stat()
            data = encode(255 - TEST.images[3])[:times.st_size]
            file.write_bytes(data + bytes(times.st_size - len(data)))
            os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
            assert file.stat().st_size == times.st_size and file.stat().st_mtime_ns == times.st_mtime_ns
        names.clear()
        loaded = load_images(folder, keep=cached)
        assert 0 < len(names) < 60, change
        assert_same(loaded, load_images(folder))


def test_other_settings_are_another_reading(small_batches):
    folder, names = small_batches
    load_images(folder, keep=cached)
    for settings in (dict(invert=True), dict(speck=.1), dict(crop=False)):
        names.clear()
        loaded = load_images(folder, keep=cached, **settings)
        assert len(names) == 120
        assert_same(loaded, load_images(folder, **settings))


def test_a_folder_that_was_moved_is_known_and_lies_where_it_lies_now(small_batches):
    folder, names = small_batches
    load_images(folder, keep=cached)
    moved = folder.rename(folder.with_name('moved'))
    names.clear()
    loaded = load_images(moved, keep=cached)
    assert len(names) < 20
    assert all(os.path.exists(path) for path in loaded.done['path'])


def test_what_could_not_be_read_is_tried_again(small_batches, monkeypatch):
    folder, names = small_batches
    read_pages = room.read_pages

    def fails(item):
        if item.name == '30.png':
            raise OSError(5, 'Input/output error')
        return read_pages(item)
    with monkeypatch.context() as broken:
        broken.setattr(room, 'read_pages', fails)
        assert list(reasons(load_images(folder, keep=cached))) == ['30.png']
    names.clear()
    assert len(load_images(folder, keep=cached)) == 120
    assert '30.png' in names and len(names) < 25


def test_files_that_may_still_change_are_not_kept(small_batches, monkeypatch):
    folder, names = small_batches
    monkeypatch.setattr(room, 'SETTLED', 3600)
    load_images(folder, keep=cached)
    names.clear()
    load_images(folder, keep=cached)
    assert len(names) == 120


def test_a_reading_that_was_stopped_goes_on(small_batches, monkeypatch):
    folder, names = small_batches
    want = load_images(folder)
    read_pages = room.read_pages

    def stops(item):
        if item.name == '80.png':
            raise KeyboardInterrupt
        return read_pages(item)
    with monkeypatch.context() as stopped:
        stopped.setattr(room, 'read_pages', stops)
        with pytest.raises(KeyboardInterrupt):
            load_images(folder, keep=cached)
    names.clear()
    assert_same(load_images(folder, keep=cached), want)
    assert 40 <= len(names) < 80


@pytest.mark.skipif(not hasattr(signal, 'SIGKILL'), reason='nothing kills here')
def test_a_reading_that_was_killed_goes_on(small_batches):
    folder, names = small_batches
    program = f'''
import os, signal
from mnist_clustering import images
from mnist_clustering.store import cached
images.LEAST, images.SETTLED = 20, -1e9
images._ends_batch = lambda name: name.endswith('5.png')
def keep(*args, **recipe):
    kept = cached(*args, **recipe)
    keep.times += 1
    if keep.times == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return kept
keep.times = 0
images.load_images({str(folder)!r}, keep=keep)
'''
    assert subprocess.run([sys.executable, '-c', program]).returncode == -signal.SIGKILL
    loaded = load_images(folder, keep=cached)
    assert 40 <= len(names) <= 80
    assert_same(loaded, load_images(folder))


def test_copies_are_counted_and_told(tmp_path):
    for name in ('a.png', 'b.png', 'c.png'):
        (tmp_path / name).write_bytes(PNG)
    assert load_images(tmp_path / 'a.png').describe() == '1 image, 0 files skipped'
    assert load_images(tmp_path).describe() == '3 images (2 exact copies), 0 files skipped'
    (tmp_path / 'd.png').write_bytes(encode(np.full((30, 30), 255, np.uint8)))
    (tmp_path / 'e.png').write_bytes(b'')
    loaded = load_images(tmp_path)
    assert loaded.n_copies == 2
    assert loaded.describe() == '4 images (1 blank, 2 exact copies), 1 file skipped'
    assert loaded[1:].describe() == '3 images (1 blank, 1 exact copy), 1 file skipped'
    assert OwnImages(TEST.images[:2]).n_copies == 0


# As much as there is

def test_the_number_of_threads_changes_nothing():
    random = np.random.default_rng(0)
    shade = np.outer(np.linspace(1, .6, 60), np.linspace(.9, 1, 50))
    scans = np.stack([(scan() * shade + random.normal(0, 3, shade.shape)).clip(0, 255) for _ in range(20)])
    found = set()
    for n_threads in (1, 2, 4):
        with threadpool_limits(n_threads):
            found.add(load_images(scans.astype(np.uint8)).images.tobytes())
    assert len(found) == 1


def test_memory_grows_by_the_result_alone(tmp_path):
    (tmp_path / 'a.png').write_bytes(PNG)

    def peak(n):
        tracemalloc.start()
        load_images([tmp_path / 'a.png'] * n)
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    peak(10)
    assert (peak(4_000) - peak(1_000)) / 3_000 < 3_000 # bytes an image, twice 784 of them for the pixels


def test_pyarrow_is_loaded_when_it_is_needed():
    command = 'import sys; import mnist_clustering.images; print("pyarrow.parquet" in sys.modules)'
    assert subprocess.run([sys.executable, '-c', command], capture_output=True, text=True).stdout == 'False\n'


def test_an_item_that_cannot_be_read_says_why():
    pages, reason = read_item(Item('a.png', PermissionError(13, 'no')), 'auto', {})
    assert (pages, reason) == ([], 'it may not be read')


# Hostile files

BOMB = 'more than 200 times its size'


def pack_bombs(tmp_path):
    "A small file of each kind that unpacks to 2 MB."
    pixels = np.zeros((2**11, 32, 32), np.uint8)
    idx = io.BytesIO(bytes([0, 0, 8, 3]) + np.array(pixels.shape, '>u4').tobytes() + pixels.tobytes()).read()
    with zipfile.ZipFile(tmp_path / 'a.zip', 'w', zipfile.ZIP_DEFLATED) as archive:
        for i in range(4):
            archive.writestr(f'{i}.png', bytes(2**19))
    for kind, mode in (('tar.gz', 'w:gz'), ('tar.bz2', 'w:bz2'), ('tar.xz', 'w:xz')):
        with tarfile.open(tmp_path / f'a.{kind}', mode) as archive:
            info = tarfile.TarInfo('a.txt')
            info.size = 2**21
            archive.addfile(info, io.BytesIO(bytes(2**21)))
    np.savez_compressed(tmp_path / 'a.npz', images=pixels)
    (tmp_path / 'images.gz').write_bytes(gzip.compress(idx))
    (tmp_path / 'a.csv.gz').write_bytes(gzip.compress(b','.join([b'0'] * 784) + b'\n' + bytes(2**21)))
    (tmp_path / 'a.txt.gz').write_bytes(gzip.compress(b'a' * 99 + b'\n' + b'\n' * 2**21))
    rows = pd.DataFrame(np.zeros((2**19, 16), np.uint8)).add_prefix('p')
    rows.to_parquet(tmp_path / 'pixels.parquet')
    pd.DataFrame({'image': [bytes(2**14)] * 2**7}).to_parquet(tmp_path / 'bytes.parquet')


def test_a_bomb_of_every_kind_is_refused_in_one_sentence_that_names_it(tmp_path, monkeypatch):
    pack_bombs(tmp_path)
    monkeypatch.setattr(room, 'MAX_UNPACKED', 2**18)
    monkeypatch.setattr(room, 'MOST_TEXT', 2**18)
    for path in sorted(tmp_path.iterdir()):
        assert path.stat().st_size < 2**15, path
        with pytest.raises(ValueError, match=BOMB) as refused:
            load_images(path)
        assert path.name in str(refused.value) and '\n' not in str(refused.value)
    (tmp_path / 'good.png').write_bytes(PNG)
    loaded = load_images(tmp_path)
    assert loaded.names.tolist() == ['good.png']
    assert {name for name, reason in reasons(loaded).items() if BOMB in reason} >= {'a.zip', 'a.tar.gz', 'a.tar.xz'}


def test_what_is_no_bomb_is_read_however_well_it_was_packed(tmp_path):
    white = np.full((1500, 1500), 255, np.uint8)
    white[300:1200, 700:760] = 0
    with zipfile.ZipFile(tmp_path / 'a.zip', 'w', zipfile.ZIP_DEFLATED) as archive:
        for i in range(5):
            archive.writestr(f'{i}.bmp', encode(white, 'BMP'))
    assert (tmp_path / 'a.zip').stat().st_size < 5 * white.size / 200
    assert len(load_images(tmp_path / 'a.zip')) == 5


def test_large_entries_of_an_archive_are_refused_before_they_are_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(room, 'MAX_BYTES', 2**16)
    files = {'large.png': bytes(2**17), 'good.png': PNG}
    pack_zip(tmp_path / 'a.zip', files)
    pack_tar(tmp_path / 'a.tar.gz', files)
    for name in ('a.zip', 'a.tar.gz'):
        loaded = load_images(tmp_path / name)
        assert loaded.names.tolist() == ['good.png']
        assert reasons(loaded) == {'large.png': 'more bytes than an image of one character has'}


def test_a_file_of_endless_pages_is_read_up_to_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(room, 'MAX_PAGES', 5)
    pages = [Image.fromarray(image) for image in TEST.images[:8]]
    pages[0].save(tmp_path / 'a.tif', save_all=True, append_images=pages[1:])
    loaded = load_images(tmp_path / 'a.tif')
    assert np.array_equal(loaded.images, TEST.images[:5])
    assert reasons(loaded) == {'a.tif#6': 'it has more than 5 pages: divide it'}
    data = (tmp_path / 'a.tif').read_bytes()
    assert loaded.done['digest'][1] == blake2b(data + b'#2', digest_size=16).hexdigest()


def test_the_time_for_a_page_does_not_grow_with_the_file(tmp_path):
    pages = [Image.fromarray(image) for image in TEST.images[:60]]
    pages[0].save(tmp_path / 'a.tif', save_all=True, append_images=pages[1:])
    with open(tmp_path / 'a.tif', 'ab') as file:
        file.write(bytes(50_000_000))
    start = time.process_time()
    assert len(load_images(tmp_path / 'a.tif')) == 60
    assert time.process_time() - start < 2 # it was 6, since the whole file was read for the digest of each page


def test_comments_of_a_ppm_file_take_no_time(tmp_path):
    (tmp_path / 'a.pgm').write_bytes(b'P5 #' + b'x' * 3_000_000)
    numbers = b'\n# a comment\n'.join(b' '.join(b'%d' % value for value in row) for row in DIGIT)
    (tmp_path / 'b.pgm').write_bytes(b'P2\n28 28\n255\n' + numbers + b'\n#' * 200_000)
    (tmp_path / 'c.pgm').write_bytes(b'P5\n# a comment\n28 28\n255\n' + DIGIT.tobytes())
    start = time.process_time()
    loaded = load_images(tmp_path)
    assert time.process_time() - start < 2
    assert loaded.names.tolist() == ['b.pgm', 'c.pgm'] and list(reasons(loaded)) == ['a.pgm']
    assert np.array_equal(loaded.images, [DIGIT, DIGIT])


@pytest.mark.parametrize('width, height', [(64_000_001, 1), (1, 65_536), (65_500, 65_500)])
def test_a_picture_as_long_as_none_is_refused(width, height, tmp_path):
    head = struct.pack('>IIBBBBB', width, height, 1, 0, 0, 0, 0)
    parts = chunk(b'IHDR', head), chunk(b'IDAT', zlib.compress(bytes(1000))), chunk(b'IEND', b'')
    (tmp_path / 'a.png').write_bytes(b'\x89PNG\r\n\x1a\n' + b''.join(parts))
    with pytest.raises(ValueError, match='more (pixels )?than one character has|are more than one character has'):
        load_images(tmp_path)


@pytest.mark.parametrize('shape', [(1, 1), (1, 10_000), (10_000, 1), (2, 3_000)])
def test_lines_and_points_are_read(shape):
    for value in (0, 255):
        assert load_images([encode(np.full(shape, value, np.uint8))]).blank.all()
    if max(shape) > 1:
        pixels = np.full(shape, 255, np.uint8)
        pixels.ravel()[pixels.size // 3:pixels.size // 2] = 0
        assert not load_images([encode(pixels)]).blank.any()


def test_an_array_of_large_images_is_made_smaller_like_files():
    large = np.kron(scan(), np.ones((50, 50), np.uint8))
    of_array, of_file = load_images(large[None]), load_images([encode(large)])
    assert np.array_equal(of_array.images, of_file.images)
    assert of_array.done[['width', 'height']].equals(of_file.done[['width', 'height']])
    with pytest.raises(ValueError, match='9,000 x 9,000 pixels are more than one character has'):
        load_images(np.zeros((1, 9_000, 9_000), np.uint8))


@pytest.mark.parametrize('top', [1e300, 1e-300, 1e38, 1e-40])
def test_numbers_beyond_single_precision_are_the_same_images(top):
    loaded = load_images(TEST.images[:20] / 255 * top)
    assert np.abs(loaded.images.astype(int) - TEST.images[:20]).max() <= 1


def test_little_memory_is_told_before_it_is_taken(tmp_path, monkeypatch):
    def refuse(n_bytes, what):
        raise MemoryError(f'{what} needs about {n_bytes:,} bytes of memory')
    (tmp_path / 'large.png').write_bytes(encode(np.full((2_000, 1_000), 255, np.uint8)))
    (tmp_path / 'small.png').write_bytes(PNG)
    np.savez(tmp_path / 'a.npz', images=TEST.images[:3])
    np.save(tmp_path / 'a.npy', TEST.images[:3])
    write_idx(tmp_path / 'a-idx3-ubyte', TEST.images[:3])
    pd.DataFrame(TEST.images[:3].reshape(3, -1)).add_prefix('p').to_parquet(tmp_path / 'a.parquet')
    monkeypatch.setattr(room, 'check_memory', refuse)
    assert reasons(load_images(tmp_path))['large.png'] == 'there is too little memory to unpack it'
    for name in ('a.npz', 'a.npy', 'a-idx3-ubyte', 'a.parquet'):
        with pytest.raises(MemoryError, match=f'{name} needs about .* bytes of memory$'):
            load_images(tmp_path / name)


def damaged_tar(tmp_path, kind):
    "A tar archive of three images that is damaged after the first."
    path = tmp_path / 'a.tar'
    with tarfile.open(path, 'w') as archive:
        for i, image in enumerate(TEST.images[:3]):
            data = encode(image)
            info = tarfile.TarInfo(f'{i}.png')
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    data = bytearray(path.read_bytes())
    second = 512 + -(-len(encode(TEST.images[0])) // 512) * 512 # where the second head begins
    if kind == 'a bad head':
        data[second + 10] ^= 255
    elif kind == 'cut in a head':
        del data[second + 100:]
    elif kind == 'cut before a head':
        del data[second:]
    elif kind == 'heads in heads':
        head = tarfile.TarInfo('././@LongLink')
        head.type = tarfile.GNUTYPE_LONGNAME
        data[second:second] = head.tobuf(tarfile.GNU_FORMAT) * 2_000
    path.write_bytes(data)
    return path


@pytest.mark.parametrize('kind', ['a bad head', 'cut in a head', 'cut before a head', 'heads in heads'])
def test_a_tar_that_is_damaged_never_ends_in_silence(kind, tmp_path):
    loaded = load_images(damaged_tar(tmp_path, kind))
    assert loaded.names.tolist() == ['0.png']
    assert reasons(loaded)['a.tar'].startswith('the archive is cut short or damaged (')


def test_a_sparse_file_in_a_tar_is_not_filled_up(tmp_path):
    with tarfile.open(tmp_path / 'a.tar', 'w', format=tarfile.PAX_FORMAT) as archive:
        for name, headers in (('hole.png', {'GNU.sparse.size': str(2**40)}), ('1.png', {})):
            info = tarfile.TarInfo(name)
            info.size = len(PNG)
            if headers:
                info.pax_headers = headers | {'GNU.sparse.map': f'0,{len(PNG)},{2**40},0', 'GNU.sparse.major': '0',
                                              'GNU.sparse.minor': '1'}
            archive.addfile(info, io.BytesIO(PNG))
    loaded = load_images(tmp_path / 'a.tar')
    assert loaded.names.tolist() == ['1.png']
    assert reasons(loaded) == {'hole.png': 'a sparse file, which is not read: unpack the archive'}


def test_an_encrypted_file_in_a_zip_is_named_as_such(tmp_path):
    pack_zip(tmp_path / 'a.zip', {'a.png': PNG, 'b.png': PNG})
    data = bytearray((tmp_path / 'a.zip').read_bytes())
    data[6] |= 1
    data[data.find(b'PK\1\2') + 8] |= 1
    (tmp_path / 'a.zip').write_bytes(data)
    assert reasons(load_images(tmp_path / 'a.zip')) == {'a.png': 'it is encrypted: unpack the archive'}


def test_what_lies_inside_another_file_is_not_taken_for_it(tmp_path):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, 'w') as archive:
        archive.writestr('inside.png', encode(TEST.images[1]))
    (tmp_path / 'both.png').write_bytes(PNG + inner.getvalue())
    with tarfile.open(tmp_path / 'a.tar', 'w') as archive:
        for name, data in (('0.png', PNG), ('last.zip', inner.getvalue())):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    for name, inside in (('both.png', 'both.png'), ('a.tar', '0.png')):
        loaded = load_images(tmp_path / name)
        assert loaded.names.tolist() == [inside] and np.array_equal(loaded.images, [DIGIT])


def whole_sources(tmp_path):
    "A good file of each kind that is read by a reader of its own."
    files = {f'{i}.png': encode(image) for i, image in enumerate(TEST.images[:5])}
    pack_zip(tmp_path / 'a.zip', files)
    pack_tar(tmp_path / 'a.tar.gz', files)
    np.save(tmp_path / 'a.npy', TEST.images[:5])
    np.savez_compressed(tmp_path / 'a.npz', images=TEST.images[:5])
    write_idx(tmp_path / 'a.idx', TEST.images[:5])
    write_idx(tmp_path / 'b.gz', TEST.images[:5], gzip.open)
    pixels = pd.DataFrame(TEST.images[:5].reshape(5, -1)).add_prefix('p')
    pixels.to_csv(tmp_path / 'a.csv', index=False)
    pixels.to_csv(tmp_path / 'b.csv.gz', index=False)
    pixels.to_parquet(tmp_path / 'a.parquet')
    pd.DataFrame({'image': list(files.values())}).to_parquet(tmp_path / 'b.parquet')
    return sorted(tmp_path.iterdir())


def test_random_damage_to_any_source_gives_images_or_one_sentence_that_names_it(tmp_path):
    rng = np.random.default_rng(0)
    for path in whole_sources(tmp_path):
        whole = path.read_bytes()
        assert np.array_equal(load_images(path).images, TEST.images[:5]), path
        for trial in range(12):
            data = bytearray(whole)
            if trial % 3 == 0:
                del data[rng.integers(1, len(data)):]
            elif trial % 3 == 1:
                start = int(rng.integers(len(data)))
                del data[start:start + 10]
            else:
                ends = np.r_[:40, len(data) - 60:len(data)] # where most of what readers trust stands
                data[rng.choice(ends)] ^= 255
            path.write_bytes(data)
            try:
                loaded = load_images(path)
                assert len(loaded) + len(loaded.skipped)
            except ValueError as error:
                assert path.name in str(error) and '\n' not in str(error), (path, trial, error)


def test_small_pixels_in_a_table_with_names_of_columns(tmp_path):
    images = TEST.images[:2_100, 7:23:4, 7:23:4] # 4 x 4, and more rows than are read at a time
    table = pd.DataFrame(images.reshape(len(images), -1)).add_prefix('pixel')
    table.to_csv(tmp_path / 'a.csv', index=False)
    table.to_parquet(tmp_path / 'a.parquet')
    want = load_images(images)
    for name in ('a.csv', 'a.parquet'):
        assert np.array_equal(load_images(tmp_path / name).images, want.images), name


def test_tables_that_nobody_would_write_are_refused_at_once(tmp_path):
    (tmp_path / 'a.csv').write_text(','.join(['0'] * 317**2) + '\n')
    with pytest.raises(ValueError, match='a.csv cannot be read as a table .it has 100,489 columns'):
        load_images(tmp_path / 'a.csv')
    (tmp_path / 'a.csv').write_bytes('path,label\ncaf\xe9.png,3\n'.encode('latin-1'))
    with pytest.raises(ValueError, match='a.csv cannot be read as a table .its text is not in UTF-8: in your editor'):
        load_images(tmp_path / 'a.csv')
    (tmp_path / '1.png').write_bytes(PNG)
    (tmp_path / 'a.txt').write_text('1.png\n' + 'x' * 40_000 + '\n')
    with pytest.raises(ValueError, match='a.txt cannot be read as a table .line 2 has more than 32,767 characters'):
        load_images(tmp_path / 'a.txt')
    (tmp_path / 'a.csv').write_text('path,label\n1.png,3\n' + 'x' * 40_000 + ',4\n')
    assert reasons(load_images(tmp_path / 'a.csv')) == {'row 1': 'no path is so long'}


def test_folders_may_lie_deeper_than_python_calls_itself(tmp_path):
    place = os.getcwd()
    try:
        os.chdir(tmp_path)
        for _ in range(1_050):
            os.mkdir('a')
            os.chdir('a')
        with open('1.png', 'wb') as file:
            file.write(PNG)
    finally:
        os.chdir(place)
    (tmp_path / '2.png').write_bytes(PNG)
    assert load_images(tmp_path).names.tolist() == ['2.png', f'{"a/" * 1_050}1.png']
    assert len(list(walk(tmp_path))) == 1_052
    subprocess.run(['rm', '-rf', tmp_path / 'a'], check=True) # shutil.rmtree calls itself for each folder


def test_what_leads_to_a_device_or_nowhere_is_told_apart(tmp_path):
    (tmp_path / 'zero.png').symlink_to('/dev/zero')
    (tmp_path / 'nowhere.png').symlink_to('missing')
    (tmp_path / '1.png').write_bytes(PNG)
    assert reasons(load_images(tmp_path)) == {'nowhere.png': 'a link that leads nowhere',
                                              'zero.png': 'a device or a pipe, not a file'}
    loaded = load_images([tmp_path / '1.png', ''])
    assert list(reasons(loaded).values()) == ['a folder, not a file']
    for source in ('', 'x' * 5_000):
        with pytest.raises(ValueError, match='does not exist: give a folder'):
            load_images(source)


def test_names_cannot_turn_a_line_around(tmp_path):
    for name in ('a\u202egnp.png', 'b\u2028c.png', 'd\u2066e.png', 'na\u200dme.png'):
        (tmp_path / name).write_bytes(PNG)
    assert load_images(tmp_path).names.tolist() == [
        'a\\u202egnp.png', 'b\\u2028c.png', 'd\\u2066e.png', 'na\u200dme.png']


def test_no_drawing_of_a_few_pixels_is_taken_for_paper():
    assert not load_images(load_digits().images).blank.any() # number 1,002 was, a zero in many greys
