"Images from anywhere: damaged files, archives, odd names, unclear paper, and memory that does not grow."
import gzip
import io
import os
import subprocess
import sys
import tarfile
import tracemalloc
import zipfile
import zlib

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from threadpoolctl import threadpool_limits

from mnist_clustering.data import load_mnist
from mnist_clustering.images import Item, find_items, load_images, prepare_image, read_item

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
    assert reasons(loaded) == {'notes.txt': 'no image, by the end of its name', 'pipe.png': 'no regular file'}
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
    assert reasons(loaded) == {'1.png': 'it was there, and is no longer'}


def test_a_name_that_is_no_text_can_be_written(tmp_path):
    path = os.path.join(os.fsencode(tmp_path), b'caf\xe9.png')
    with open(path, 'wb') as file:
        file.write(PNG)
    loaded = load_images(tmp_path)
    assert loaded.names.tolist() == ['caf\\xe9.png']
    loaded.done.to_parquet(tmp_path / 'done.parquet')
    assert len(load_images([os.fsdecode(path)])) == 1


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
    (np.full((3, 28, 28), np.nan), 'without NaN'),
    (np.zeros((3, 28, 28, 4)), r'not \(n, height, width\)'),
    (np.zeros((0, 28, 28)), 'holds no images'),
    ([], 'holds no images'),
    (pd.DataFrame({'label': [1, 2]}), 'no column of images'),
    ('nowhere.zip', 'does not exist'),
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
