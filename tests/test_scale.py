"Images that need not fit into memory: the same clusters as in memory, in parts that survive a stop, here and on Spark."
import errno
import io
import json
import os
import shutil
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from sklearn.cluster import KMeans
from sklearn.preprocessing import FunctionTransformer

from mnist_clustering import cli, scale
from mnist_clustering.data import Images, load_mnist
from mnist_clustering.images import load_images
from mnist_clustering.model import ClusterModel
from mnist_clustering.scale import (
    Part,
    assign,
    assign_images,
    assign_on_spark,
    find_parts,
    fit_in_parts,
    fit_on_spark,
    model_of_worker,
    put_centers,
    spark_session,
    stratified_sample,
)

needs_java = pytest.mark.skipif(not shutil.which('java'), reason='Spark needs Java, which is not there')
train, test = load_mnist()


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    "A saved model of a thousand digits."
    folder = tmp_path_factory.mktemp('model') / 'digits'
    ClusterModel('pixels', 'ward', n_clusters=10).fit(train.images[:1000], train.labels[:1000]).save(folder)
    return folder


@pytest.fixture(scope='module')
def spark():
    "Two workers in this computer."
    session = spark_session('local[2]')
    yield session
    session.stop()


@pytest.fixture
def small_parts(monkeypatch):
    "Parts of a hundred images, so that a few hundred make several."
    monkeypatch.setattr(scale, 'N_IMAGES', 100)
    monkeypatch.setattr(scale, 'N_FILES', 100)


def write_pixels(file, images, **options):
    "A table with the bytes of each image."
    column = pa.array([image.tobytes() for image in images], pa.binary(784))
    pq.write_table(pa.table(dict(pixels=column)), file, **options)


def labels(out):
    "All that a run says, in the order of the images."
    table = pd.read_parquet(out / 'labels')
    return table.iloc[np.argsort([int(name.rsplit(' ', 1)[1]) for name in table['file']], kind='stable')].reset_index(
        drop=True) if table['file'].str.contains('row ').all() else table


def in_memory(model, images):
    "What is to come out."
    names = np.array([f'row {i}' for i in range(len(images))], object)
    return assign_images(ClusterModel.load(model), Images(images, None, names))


def check(found, wanted):
    "Is it the same, but for the types of columns?"
    assert found['reason'].isna().all()
    for name in wanted:
        left, right = ([None if pd.isna(cell) else cell for cell in table[name]] for table in (found, wanted))
        if name in ('confidence', 'strangeness'): # the last digits depend on how many are looked at together
            np.testing.assert_allclose(left, right, atol=2e-4)
        else:
            assert left == right, name


def test_an_array_in_the_form_of_mnist_is_assigned_as_in_memory(model, tmp_path, small_parts):
    np.save(tmp_path / 'a.npy', test.images[:350])
    about = assign(model, tmp_path / 'a.npy', tmp_path / 'out', as_is=True)
    check(labels(tmp_path / 'out'), in_memory(model, test.images[:350]))
    assert (about['n'], about['left_out']) == (350, 0)
    assert sum(cluster['n'] for cluster in about['clusters']) == 350
    assert len(list((tmp_path / 'out/labels').iterdir())) == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ['a.npy', 'out'] # nothing unfinished is left


def as_bytes(images):
    return pa.table(dict(pixels=pa.array([image.tobytes() for image in images], pa.binary())))


def as_lists(images):
    return pa.table(dict(image=pa.array(images.reshape(len(images), -1).tolist(), pa.list_(pa.uint8()))))


def as_columns(images):
    flat = images.reshape(len(images), -1)
    return pa.table(dict(label=[0] * len(images)) | {f'pixel{i}': flat[:, i] for i in range(784)})


@pytest.mark.parametrize('form', [as_bytes, as_lists, as_columns])
def test_tables_of_pixels_are_assigned_as_in_memory(form, model, tmp_path, small_parts):
    pq.write_table(form(test.images[:250]), tmp_path / 'a.parquet', row_group_size=70)
    assign(model, tmp_path / 'a.parquet', tmp_path / 'out', as_is=True)
    check(labels(tmp_path / 'out'), in_memory(model, test.images[:250]))


@pytest.fixture(scope='module')
def scans(tmp_path_factory):
    "Digits as image files, as a zip archive, and as a table of files."
    place = tmp_path_factory.mktemp('scans')
    (place / 'scans').mkdir()
    for i in range(230):
        Image.fromarray(255 - test.images[i]).save(place / 'scans' / f'{i}.png')
    files = sorted((place / 'scans').iterdir(), key=lambda file: int(file.stem))
    with zipfile.ZipFile(place / 'scans.zip', 'w') as archive:
        for file in files:
            archive.write(file, file.name)
    cells = [dict(bytes=file.read_bytes(), path=file.name) for file in files]
    pd.DataFrame(dict(image=cells)).to_parquet(place / 'scans.parquet', row_group_size=60)
    return place


@pytest.mark.parametrize('name', ['scans', 'scans.zip', 'scans.parquet'])
def test_image_files_are_assigned_as_in_memory(name, scans, model, tmp_path, small_parts):
    about = assign(model, scans / name, tmp_path / 'out')
    wanted = assign_images(ClusterModel.load(model), load_images(scans / name))
    check(labels(tmp_path / 'out'), wanted)
    assert about['n'] == 230


def test_several_sources_are_named_as_in_memory(scans, model, tmp_path, small_parts):
    shutil.copy(scans / 'scans/7.png', tmp_path / 'seven.png')
    sources = [tmp_path / 'seven.png', scans / 'scans.zip', scans / 'scans']
    assign(model, sources, tmp_path / 'out')
    wanted = assign_images(ClusterModel.load(model), load_images(sources))
    assert sorted(labels(tmp_path / 'out')['file']) == sorted(wanted['file'])


def test_images_that_do_not_tell_what_is_paper_follow_the_first_thousand(model, tmp_path, small_parts):
    (tmp_path / 'scans').mkdir()
    rng = np.random.default_rng(0)
    for i in range(300):
        image = 255 - test.images[i]
        if i > 200: # half of the border is dark
            image = np.where(np.arange(28)[:, None] + np.arange(28) < 27, image, rng.integers(0, 90, (28, 28)))
        Image.fromarray(image.astype(np.uint8)).save(tmp_path / 'scans' / f'{i}.png')
    assign(model, tmp_path / 'scans', tmp_path / 'out')
    wanted = assign_images(ClusterModel.load(model), load_images(tmp_path / 'scans'))
    check(labels(tmp_path / 'out'), wanted)


def test_a_run_that_was_stopped_goes_on_where_it_was(model, tmp_path, small_parts, monkeypatch):
    np.save(tmp_path / 'a.npy', test.images[:600])
    finished = []

    def stop(n, rate):
        finished.append(n)
        if len(finished) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        assign(model, tmp_path / 'a.npy', tmp_path / 'out', True, stop)
    assert not (tmp_path / 'out').exists()
    kept = sorted(path.name for path in (tmp_path / 'out-unfinished').glob('part-*'))
    assert len(kept) >= 3

    worked = []
    assign_part = scale.assign_part
    monkeypatch.setattr(scale, 'assign_part', lambda model, part, *options: worked.append(part.which) or assign_part(
        model, part, *options))
    assign(model, tmp_path / 'a.npy', tmp_path / 'out', True)
    assert len(worked) == 6 - len(kept)
    check(labels(tmp_path / 'out'), in_memory(model, test.images[:600]))
    assert sorted(path.name for path in tmp_path.iterdir()) == ['a.npy', 'out']


def test_parts_of_other_images_or_of_another_model_are_not_taken_for_finished(model, tmp_path, small_parts):
    def stop(n, rate):
        raise KeyboardInterrupt

    def check_again(model, images):
        with pytest.raises(KeyboardInterrupt):
            assign(model, tmp_path / 'a.npy', tmp_path / 'out', True, stop)
        assign(other, tmp_path / 'a.npy', tmp_path / 'out', True)
        check(labels(tmp_path / 'out'), in_memory(other, images))

    np.save(tmp_path / 'a.npy', test.images[:300])
    other = tmp_path / 'other'
    ClusterModel('pixels', 'ward', n_clusters=7).fit(train.images[:500]).save(other)
    check_again(model, test.images[:300])
    with pytest.raises(KeyboardInterrupt):
        assign(model, tmp_path / 'a.npy', tmp_path / 'out', True, stop)
    np.save(tmp_path / 'a.npy', test.images[300:600])
    os.utime(tmp_path / 'a.npy', (1, 1))
    assign(model, tmp_path / 'a.npy', tmp_path / 'out', True)
    check(labels(tmp_path / 'out'), in_memory(model, test.images[300:600]))


def test_nothing_of_anybody_is_taken_for_an_unfinished_part(model, tmp_path):
    np.save(tmp_path / 'a.npy', test.images[:50])
    unfinished = tmp_path / 'out-unfinished'
    unfinished.write_text('mine')
    with pytest.raises(ValueError, match='is in the way'):
        assign(model, tmp_path / 'a.npy', tmp_path / 'out', True)
    assert unfinished.read_text() == 'mine'
    unfinished.unlink()
    (tmp_path / 'elsewhere').mkdir()
    unfinished.symlink_to(tmp_path / 'elsewhere')
    with pytest.raises(ValueError, match='is in the way'):
        assign(model, tmp_path / 'a.npy', tmp_path / 'out', True)
    unfinished.unlink()
    unfinished.mkdir()
    for name in ('part-000000.parquet', 'part-thesis.parquet'):
        (unfinished / name).write_text('mine')
    with pytest.raises(ValueError, match='part-000000.parquet is in the way, and this program did not write it'):
        assign(model, tmp_path / 'a.npy', tmp_path / 'out', True)
    (unfinished / 'part-000000.parquet').unlink()
    (unfinished / '.part-part-000007.parquet.lock').touch() # of a run that was killed
    assign(model, tmp_path / 'a.npy', tmp_path / 'out', True)
    assert [path.name for path in unfinished.iterdir()] == ['part-thesis.parquet']


def test_a_source_that_is_called_unfinished_stays(model, tmp_path):
    (tmp_path / 'out-unfinished').mkdir()
    write_pixels(tmp_path / 'out-unfinished/part-000.parquet', test.images[:50])
    assign(model, tmp_path / 'out-unfinished', tmp_path / 'out', True)
    assert [path.name for path in (tmp_path / 'out-unfinished').iterdir()] == ['part-000.parquet']


def test_other_images_of_the_same_size_and_time_are_not_taken_for_the_old_ones(model, tmp_path):
    def stop(n, rate):
        raise KeyboardInterrupt

    def write_scans(images):
        for i, image in enumerate(images):
            Image.fromarray(255 - image).save(tmp_path / f'scans/{i}.bmp')

    (tmp_path / 'scans').mkdir()
    pq.write_table(pa.table(dict(path=[f'scans/{i}.bmp' for i in range(20)])), tmp_path / 'paths.parquet')
    np.save(tmp_path / 'a.npy', test.images[:50])
    write_scans(test.images[:20])
    before = os.stat(tmp_path / 'a.npy')
    for source, as_is in ((tmp_path / 'a.npy', True), (tmp_path / 'paths.parquet', False)):
        with pytest.raises(KeyboardInterrupt):
            assign(model, source, tmp_path / f'of-{source.stem}', as_is, stop)
    np.save(tmp_path / 'a.npy', test.images[50:100])
    os.utime(tmp_path / 'a.npy', ns=(before.st_atime_ns, before.st_mtime_ns))
    write_scans(test.images[20:40])
    assign(model, tmp_path / 'a.npy', tmp_path / 'of-a', True)
    check(labels(tmp_path / 'of-a'), in_memory(model, test.images[50:100]))
    assign(model, tmp_path / 'paths.parquet', tmp_path / 'of-paths')
    wanted = assign_images(ClusterModel.load(model), load_images(tmp_path / 'paths.parquet'))
    assert labels(tmp_path / 'of-paths')['cluster'].tolist() == wanted['cluster'].tolist()


def test_a_folder_is_read_as_in_memory(model, tmp_path, small_parts):
    "Names as engines give them, tables of paths, earlier results, an array, and an archive with a name twice."
    scans = tmp_path / 'scans'
    scans.mkdir()
    for i, name in enumerate(('a.png', '_started_1.png', '_committed_x.png')):
        Image.fromarray(255 - test.images[i]).save(scans / name)
    np.save(tmp_path / 'b.npy', test.images[:30])
    assign(model, tmp_path / 'b.npy', scans / 'results', True)
    pq.write_table(pa.table(dict(file=['a.png'], name=['7'])), scans / 'labels.parquet')
    np.save(scans / 'features.npy', np.zeros((3, 4)))
    with pytest.warns(UserWarning, match='Duplicate name'), zipfile.ZipFile(scans / 'more.zip', 'w') as archive:
        for _ in range(3):
            archive.write(scans / 'a.png', 'x.png')
    about = assign(model, scans, tmp_path / 'out')
    wanted = assign_images(ClusterModel.load(model), load_images(scans))
    found = labels(tmp_path / 'out').set_index('file')
    found = found[found['reason'].isna()]
    assert found['cluster'].to_dict() == wanted.set_index('file')['cluster'].to_dict()
    assert about['n'] == 6
    reasons = pd.read_csv(tmp_path / 'out/skipped.csv').set_index('file')['reason']
    assert 'tells where images lie' in reasons['labels.parquet']
    assert 'features.npy' in reasons
    for again in (scans, scans / 'a.png'):
        with pytest.raises(ValueError, match='hold the same images, which would count twice'):
            assign(model, [scans, again], tmp_path / 'out')


def test_what_is_paper_is_told_by_a_thousand_images_and_not_by_the_first_part(model, tmp_path, small_parts):
    (tmp_path / 'scans').mkdir()
    (tmp_path / 'a.parquet').write_text('damaged')
    Image.fromarray(test.images[0]).save(tmp_path / 'one.png') # white on black
    for i in range(60):
        image = test.images[i]
        image = 255 - (image[4:24, 4:24] if i % 2 else image) # some cut tight
        Image.fromarray(image).save(tmp_path / 'scans' / f'{i}.png')
    source = [tmp_path / 'one.png', tmp_path / 'scans']
    assign(model, source, tmp_path / 'out')
    wanted = assign_images(ClusterModel.load(model), load_images(source))
    found = labels(tmp_path / 'out')
    assert dict(zip(found['file'], found['cluster'])) == dict(zip(wanted['file'], wanted['cluster']))
    about = assign(model, [tmp_path / 'a.parquet', *source], tmp_path / 'again')
    assert (about['n'], about['left_out']) == (61, 1)


def test_one_bad_file_does_not_end_the_whole(model, tmp_path):
    lake = tmp_path / 'lake'
    lake.mkdir()
    write_pixels(lake / 'good.parquet', test.images[:50])
    (lake / 'nothing.npy').touch()
    np.savez(lake / 'archive.npz', test.images[:5])
    os.rename(lake / 'archive.npz', lake / 'archive.npy')
    head = b"\x93NUMPY\x01\x00v\x00{'descr': '|u1', 'fortran_order': False, 'shape': (-5, 28, 28), }"
    (lake / 'negative.npy').write_bytes(head.ljust(127) + b'\n' + bytes(784))
    (lake / 'head.npy').write_bytes(head.replace(b"'shape'", b"(shape").ljust(127) + b'\n' + bytes(784))
    pq.write_table(pa.table({}), lake / 'no columns.parquet')
    pq.write_table(pa.table(dict(label=[1, 2])), lake / 'only labels.parquet')
    columns = {f'x{i}': np.zeros(2, np.uint8) for i in range(783)}
    pq.write_table(pa.table(columns | dict(day=pd.to_datetime(['2020-01-01'] * 2))), lake / 'dates.parquet')
    faint = np.zeros((2, 28, 28), np.uint8)
    faint[0, 5, 5] = 1
    np.save(lake / 'faint.npy', faint)
    about = assign(model, lake, tmp_path / 'out', True)
    assert (about['n'], about['left_out']) == (51, 8)
    reasons = pd.read_csv(tmp_path / 'out/skipped.csv').set_index('file')['reason']
    assert reasons['faint.npy/row 0'] == 'its darkest pixel is 1, and full ink is 255'
    assert (reasons[[name for name in reasons.index if name.split(',')[0].split('/')[0] in (
        'nothing.npy', 'archive.npy', 'negative.npy', 'head.npy')]] == 'it is no array, or it is damaged').sum() == 4


def test_what_lies_among_unfinished_parts_stays(model, tmp_path):
    np.save(tmp_path / 'a.npy', test.images[:50])
    (tmp_path / 'out-unfinished').mkdir()
    (tmp_path / 'out-unfinished/notes.txt').write_text('mine')
    assign(model, tmp_path / 'a.npy', tmp_path / 'out', True)
    assert (tmp_path / 'out-unfinished/notes.txt').read_text() == 'mine'


@pytest.fixture
def lake(tmp_path, small_parts):
    "A folder of tables as engines write them: one is no table, one is cut short, one damaged, and one row is no image."
    folder = tmp_path / 'lake'
    folder.mkdir()
    for i in range(5):
        write_pixels(folder / f'part-{i}.parquet', test.images[200 * i:200 * i + 200], row_group_size=100)
    (folder / '_SUCCESS').touch()
    (folder / '.part-0.parquet.crc').write_text('x')
    (folder / 'part-1.parquet').write_text('no table')
    whole = (folder / 'part-2.parquet').read_bytes()
    (folder / 'part-2.parquet').write_bytes(whole[:len(whole) // 2])
    whole = bytearray((folder / 'part-3.parquet').read_bytes())
    second = pq.read_metadata(folder / 'part-3.parquet').row_group(1).column(0).data_page_offset
    whole[second:second + 40] = bytes(40)
    (folder / 'part-3.parquet').write_bytes(whole)
    column = [image.tobytes() for image in test.images[800:1000]]
    column[150] = column[150][:700]
    column[151] = None
    pq.write_table(pa.table(dict(pixels=column)), folder / 'part-4.parquet', row_group_size=100)
    return folder


LEFT_OUT = ['part-1.parquet', 'part-2.parquet', 'part-3.parquet, row groups 1 to 1', 'part-4.parquet/row 150',
            'part-4.parquet/row 151']


def test_what_cannot_be_read_is_listed_and_the_rest_is_done(model, lake, tmp_path):
    about = assign(model, lake, tmp_path / 'out', as_is=True)
    table = pd.read_parquet(tmp_path / 'out/labels')
    assert table.loc[table['reason'].notna(), 'file'].tolist() == LEFT_OUT
    assert pd.read_csv(tmp_path / 'out/skipped.csv')['file'].tolist() == LEFT_OUT
    assert table.loc[table['reason'].notna(), 'cluster'].isna().all()
    assert (about['n'], about['left_out']) == (200 + 100 + 198, 5)
    good = table[table['reason'].isna()]
    wanted = in_memory(model, np.concatenate([test.images[:200], test.images[600:700], np.delete(
        test.images[800:1000], [150, 151], axis=0)]))
    np.testing.assert_array_equal(good['cluster'].astype(int), wanted['cluster'])


def test_image_files_that_cannot_be_read_are_listed(scans, model, tmp_path):
    shutil.copytree(scans / 'scans', tmp_path / 'scans')
    (tmp_path / 'scans/bad.png').write_text('no image')
    (tmp_path / 'scans/empty.png').touch()
    (tmp_path / 'scans/more.zip').write_text('no archive')
    about = assign(model, tmp_path / 'scans', tmp_path / 'out')
    assert about['n'] == 230
    left_out = pd.read_csv(tmp_path / 'out/skipped.csv')
    assert sorted(left_out['file']) == ['bad.png', 'empty.png', 'more.zip']
    assert left_out['reason'].str.len().min() > 5


def test_a_full_disk_keeps_the_finished_parts(model, tmp_path, small_parts, monkeypatch):
    np.save(tmp_path / 'a.npy', test.images[:400])
    write, n = scale.ParquetWriter.write_table, [0]

    def write_table(self, *given):
        n[0] += 1
        if n[0] > 2:
            raise OSError(errno.ENOSPC, 'No space left on device')
        write(self, *given)

    with monkeypatch.context() as full:
        full.setattr(scale.ParquetWriter, 'write_table', write_table)
        with pytest.raises(OSError, match='make room, and do the same again; it goes on from the parts'):
            assign(model, tmp_path / 'a.npy', tmp_path / 'out', True)
    kept = sorted(path.name for path in (tmp_path / 'out-unfinished').iterdir())
    assert kept == ['part-000000.parquet', 'part-000001.parquet']
    assign(model, tmp_path / 'a.npy', tmp_path / 'out', True)
    check(labels(tmp_path / 'out'), in_memory(model, test.images[:400]))


def test_bad_sources_are_refused_in_one_sentence(model, scans, tmp_path):
    np.save(tmp_path / 'floats.npy', np.zeros((5, 28, 28)))
    np.save(tmp_path / 'a.npy', test.images[:5])
    (tmp_path / 'empty').mkdir()
    for source, as_is, told in [
            (tmp_path / 'nothing', False, 'does not exist'),
            (tmp_path / 'a.npy', False, 'say as_is if they are bytes in the form of MNIST'),
            (tmp_path / 'floats.npy', True, 'it holds float64, and images in the form of MNIST are uint8'),
            (scans / 'scans', True, 'no table or array of pixels'),
            (tmp_path / 'empty', False, 'holds no images')]:
        with pytest.raises(ValueError, match=told):
            assign(model, source, tmp_path / 'out', as_is)
        assert not (tmp_path / 'out').exists()


def test_parts_are_the_same_ones_whatever_works_on_them_and_can_be_told_as_json(scans, lake):
    for source, as_is in ((scans / 'scans', False), (scans / 'scans.zip', False), (lake, True)):
        parts = list(find_parts(source, as_is))
        assert [Part(*json.loads(json.dumps(part))) for part in parts] == parts
        assert list(find_parts(source, as_is)) == parts


def test_the_command_streams(model, tmp_path, capsys):
    np.save(tmp_path / 'a.npy', test.images[:100])
    cli.mnist_assign([str(model), str(tmp_path / 'a.npy'), '--engine', 'stream', '--as_is', '--out',
                      str(tmp_path / 'out')])
    assert '100 images' in capsys.readouterr().out
    check(labels(tmp_path / 'out'), in_memory(model, test.images[:100]))


@pytest.mark.parametrize('words, told', [
    (['--as_is'], 'give one of them, or leave out --as_is'),
    (['--master', 'local[2]'], 'give both, or leave out --master'),
    (['--engine', 'stream', '--export', 'link'], 'leave out --engine, or --export'),
    (['--engine', 'spark', '--features', 'a.npy'], 'leave out --engine, or --features')])
def test_options_that_an_engine_does_not_know_are_refused(words, told, model, tmp_path):
    with pytest.raises(SystemExit, match=told):
        cli.mnist_assign([str(model), str(tmp_path), *words])


def test_without_java_a_sentence_says_so(monkeypatch):
    monkeypatch.setattr(shutil, 'which', lambda name: None)
    monkeypatch.delenv('JAVA_HOME', raising=False)
    with pytest.raises(RuntimeError, match='needs Java 17'):
        spark_session()


def test_a_worker_of_another_version_is_told(model):
    with pytest.raises(ValueError, match='and the work was given out by 0.0.1: install the same version everywhere'):
        model_of_worker(str(model), '0.0.1')


@needs_java
@pytest.mark.parametrize('n_parts', [1, 16])
def test_spark_gives_the_same_however_the_images_are_divided(n_parts, model, spark, tmp_path):
    write_pixels(tmp_path / 'a.parquet', test.images[:480], row_group_size=480 // n_parts)
    with pytest.MonkeyPatch.context() as small:
        small.setattr(scale, 'N_IMAGES', 480 // n_parts)
        counts, left_out = assign_on_spark(spark, model, tmp_path / 'a.parquet', str(tmp_path / 'labels'), True)
    assert len(list((tmp_path / 'labels').glob('part-*'))) == n_parts
    assert (sum(counts.values()), len(left_out)) == (480, 0)
    check(labels(tmp_path), in_memory(model, test.images[:480]))


@needs_java
def test_spark_lists_what_cannot_be_read(model, spark, lake, tmp_path):
    counts, left_out = assign_on_spark(spark, model, lake, str(tmp_path / 'labels'), True)
    assert left_out['file'].tolist() == LEFT_OUT
    assert sum(counts.values()) == 498


@needs_java
def test_kmeans_on_spark_is_a_model_like_any_other(spark, tmp_path):
    rng = np.random.default_rng(0)
    middles = rng.normal(0, 5, (6, 8))
    truth = rng.integers(0, 6, 3000)
    rows = middles[truth] + rng.normal(0, 1, (3000, 8))
    pq.write_table(pa.table(dict(features=pa.array(rows.tolist()))), tmp_path / 'arrays.parquet')
    pq.write_table(pa.table({f'x{i}': rows[:, i] for i in range(8)}), tmp_path / 'columns.parquet')
    exact = KMeans(6, n_init=10, random_state=0).fit(rows)
    for name in ('arrays', 'columns'):
        model = fit_on_spark(spark, str(tmp_path / f'{name}.parquet'), 6, n_sample=500)
        centers = model.clusterer_.cluster_centers_
        inertia = ((rows - centers[model.predict(rows)])**2).sum()
        assert inertia < 1.01 * exact.inertia_
        assert len(model.labels_) == 500
    model.save(tmp_path / 'model')
    again = ClusterModel.load(tmp_path / 'model')
    np.testing.assert_array_equal(again.predict(rows), model.predict(rows))
    assert (again.assess(rows[:50])['cluster'] >= -1).all()


@needs_java
@pytest.mark.parametrize('table, k, told', [
    (dict(features=[[1., 2.], None, [3., 4.]]), 2, 'cannot be clustered'),
    (dict(features=[[1., 2.], [3.]]), 2, 'cannot be clustered'),
    (dict(x=['a', 'b', 'c']), 2, 'cannot be clustered'),
    (dict(x=[1., 2.], y=[3., 5.]), 5, '2 rows of .* have only 2 different rows, so there are no 5'),
    (dict(x=[1., np.nan, 2.]), 2, 'Encountered NaN'),
    (dict(features=[[1.], [np.nan], [2.]]), 2, 'missing or infinite'),
    (dict(x=[]), 2, 'has no rows'),
    (dict(id=[1, 2, 3], x=[.5, .25, .125]), 2, 'has whole numbers in id, and fractions in other columns')])
def test_tables_that_spark_cannot_cluster_are_refused_in_one_sentence(table, k, told, spark, tmp_path):
    pq.write_table(pa.table(table), tmp_path / 'a.parquet')
    with pytest.raises(ValueError, match=told) as refused:
        fit_on_spark(spark, str(tmp_path / 'a.parquet'), k)
    assert '\n' not in str(refused.value)


@needs_java
def test_the_command_runs_on_spark(model, tmp_path):
    import subprocess
    import sys
    np.save(tmp_path / 'a.npy', test.images[:100])
    code = 'import sys; from mnist_clustering import cli; cli.mnist_assign(sys.argv[1:])'
    words = ['--engine', 'spark', '--master', 'local[2]', '--as_is', '--out', str(tmp_path / 'out[1]')]
    for _ in range(2): # an earlier run is replaced
        ended = subprocess.run([sys.executable, '-c', code, str(model), str(tmp_path / 'a.npy'), *words],
                               capture_output=True, text=True)
        assert (ended.returncode, ended.stderr) == (0, '')
    check(labels(tmp_path / 'out[1]'), in_memory(model, test.images[:100]))
    assert json.loads((tmp_path / 'out[1]/run.json').read_text())['engine'] == 'spark'
    for master, told in (('local[x]', 'master must be local'), ('spark://127.0.0.1:1', 'no Spark answers at')):
        words[3] = master
        ended = subprocess.run([sys.executable, '-c', code, str(model), str(tmp_path / 'a.npy'), *words],
                               capture_output=True, text=True)
        assert ended.returncode == 1
        assert told in ended.stderr and len(ended.stderr.splitlines()) == 1


def test_centres_move_to_where_all_images_are(tmp_path):
    rows = train.images[:6000]
    model = ClusterModel('pixels', 'kmeans', 10).fit(rows[:1000], train.labels[:1000])
    points = model.transform(rows)

    def inertia():
        centers = model.clusterer_.cluster_centers_
        return ((points - centers[model.clusterer_.predict(points)])**2).sum()

    before = inertia()
    np.save(tmp_path / 'a.npy', rows)
    fit_in_parts(model, np.load(tmp_path / 'a.npy', mmap_mode='r'), train.labels[:1000])
    assert inertia() < before
    assert inertia() < 1.03 * KMeans(10, n_init=4, random_state=0).fit(points).inertia_
    np.testing.assert_array_equal(model.predict(rows[:1000]), model.labels_)
    assert len(model.names_) >= 5


def test_centres_that_do_not_fit_are_refused():
    model = ClusterModel('pixels', 'kmeans', 10).fit(train.images[:300])
    centers = model.clusterer_.cluster_centers_.copy()
    for bad in (centers[:4], centers[:, :3], np.full_like(centers, np.nan)):
        with pytest.raises(ValueError, match='centers must be'):
            put_centers(model, bad)
    with pytest.raises(ValueError, match='only 0 images of the first 20,000 are not blank'):
        fit_in_parts(model, np.zeros((30, 28, 28), np.uint8))
    with pytest.raises(ValueError, match='images must be an array'):
        fit_in_parts(model, None)
    with pytest.raises(ValueError, match='images must be at least 10, as many as there are clusters, not 5'):
        fit_in_parts(model, train.images[:5])
    for labels in ([1, 2], train.labels[:400]):
        with pytest.raises(ValueError, match='labels must be those of the sample .*: 300, not'):
            put_centers(model, centers + .1, labels)
        with pytest.raises(ValueError, match='labels must be those of the sample'):
            fit_in_parts(model, train.images[:600], labels)
    np.testing.assert_array_equal(model.clusterer_.cluster_centers_, centers)
    with pytest.raises(ValueError, match='only clusters of KMeans'):
        fit_in_parts(ClusterModel('pixels', 'ward', 5).fit(train.images[:300]), train.images[:300])
    model.correct(np.where(model.labels_ == 3, 2, model.labels_), {})
    with pytest.raises(ValueError, match='somebody has corrected'):
        fit_in_parts(model, train.images[:300])


def test_blank_images_do_not_pull_centres():
    few, many = (ClusterModel('pixels', 'kmeans', 10).fit(train.images[:300]) for _ in range(2))
    fit_in_parts(few, train.images[:2000])
    fit_in_parts(many, np.concatenate([train.images[:2000], np.zeros((2000, 28, 28), np.uint8)]))
    np.testing.assert_array_equal(few.clusterer_.cluster_centers_, many.clusterer_.cluster_centers_)


def test_a_stratified_sample_misses_no_rare_drawing():
    rare = np.zeros((28, 28), np.uint8)
    rare[4:24:2] = 255
    images = np.concatenate([train.images[:5000], np.repeat(rare[None], 12, axis=0)])
    chosen = stratified_sample(images, 500)
    assert (len(chosen), len(set(chosen.tolist()))) == (500, 500)
    assert (chosen >= 5000).sum() >= 2 # 1 is to be expected
    for n in (-3, 2.5, '5', None, 5013):
        with pytest.raises(ValueError, match='n must be a whole number from 1 to 5,?012'):
            stratified_sample(images, n)
    with pytest.raises(ValueError, match='images must be an array'):
        stratified_sample('images.npy', 5)
    np.testing.assert_array_equal(stratified_sample(images, 500), chosen)


def test_rows_of_numbers_are_refused_where_images_are_wanted(tmp_path):
    rows = np.random.default_rng(0).normal(size=(50, 4))
    ClusterModel(FunctionTransformer(), 'ward', 3).fit(rows).save(tmp_path / 'm')
    np.save(tmp_path / 'a.npy', test.images[:5])
    with pytest.raises(ValueError, match='this model was fitted to rows of numbers'):
        assign(tmp_path / 'm', tmp_path / 'a.npy', tmp_path / 'out', True)


def test_sorted_images_move_the_centres_as_shuffled_ones_do(small_parts):
    order = np.argsort(train.labels[:6000], kind='stable')
    points = ClusterModel('pixels', 'kmeans', 10).fit(train.images[:1000]).transform(train.images[:6000])
    exact = KMeans(10, n_init=4, random_state=0).fit(points).inertia_
    with pytest.MonkeyPatch.context() as larger:
        larger.setattr(scale, 'N_IMAGES', 1000) # of which one alone would hold two digits
        model = fit_in_parts(ClusterModel('pixels', 'kmeans', 10).fit(train.images[:1000]), train.images[order])
    centers = model.clusterer_.cluster_centers_
    assert ((points - centers[model.clusterer_.predict(points)])**2).sum() < 1.03 * exact


def test_where_the_disk_is_full_at_the_end_nothing_of_the_work_is_lost(model, tmp_path, small_parts, monkeypatch):
    def full(table, file):
        raise OSError(errno.ENOSPC, 'No space left on device')

    np.save(tmp_path / 'a.npy', test.images[:300])
    with pytest.MonkeyPatch.context() as disk:
        disk.setattr(scale, 'write_csv', full)
        with pytest.raises(OSError, match='cannot be written .No space left on device.: make room'):
            assign(model, tmp_path / 'a.npy', tmp_path / 'out', True)
    assert len(list((tmp_path / 'out-unfinished').iterdir())) == 3
    about = assign(model, tmp_path / 'a.npy', tmp_path / 'out', True)
    assert (about['done_before'], about['n'], about['per_second']) == (300, 300, 0)
    check(labels(tmp_path / 'out'), in_memory(model, test.images[:300]))
    assert not (tmp_path / 'out-unfinished').exists()


def test_a_finished_part_that_was_damaged_is_done_again(model, tmp_path, small_parts):
    def stop(n, rate):
        raise KeyboardInterrupt

    np.save(tmp_path / 'a.npy', test.images[:300])
    for place in (30, 200, 700):
        with pytest.raises(KeyboardInterrupt):
            assign(model, tmp_path / 'a.npy', tmp_path / 'out', True, stop)
        file = tmp_path / 'out-unfinished/part-000000.parquet'
        content = bytearray(file.read_bytes())
        content[place] ^= 4
        file.write_bytes(content)
        assign(model, tmp_path / 'a.npy', tmp_path / 'out', True)
        check(labels(tmp_path / 'out'), in_memory(model, test.images[:300]))


STRUCT = pa.struct([('bytes', pa.binary()), ('path', pa.string())])


@pytest.mark.parametrize('kind', ['struct', 'view', 'wide'])
def test_images_that_a_table_leads_to_are_never_taken_for_the_old_ones(kind, model, tmp_path):
    def stop(n, rate):
        raise KeyboardInterrupt

    def write_scans(images):
        for i, image in enumerate(images):
            Image.fromarray(255 - image).save(tmp_path / f'{i}.png')

    paths = [f'{i}.png' for i in range(30)]
    table = {
        'struct': pa.table(dict(image=pa.array([dict(bytes=None, path=path) for path in paths], STRUCT))),
        'view': pa.table(dict(image=pa.array(paths, pa.string_view()))),
        'wide': pa.table(dict(where=paths, **{f'x{i}': ['a'] * 30 for i in range(16)}))}[kind]
    pq.write_table(table, tmp_path / 'a.parquet')
    write_scans(test.images[:30])
    with pytest.raises(KeyboardInterrupt):
        assign(model, tmp_path / 'a.parquet', tmp_path / 'out', tell=stop)
    write_scans(test.images[30:60])
    assign(model, tmp_path / 'a.parquet', tmp_path / 'out')
    wanted = assign_images(ClusterModel.load(model), load_images(tmp_path / 'a.parquet'))
    assert labels(tmp_path / 'out')['cluster'].tolist() == wanted['cluster'].tolist()


def test_a_table_with_images_and_much_else_is_read_in_parts(model, tmp_path, small_parts):
    def as_png(image):
        content = io.BytesIO()
        Image.fromarray(255 - image).save(content, 'png')
        return content.getvalue()

    images = pa.array([dict(bytes=as_png(image), path=None) for image in test.images[:300]], STRUCT)
    columns = {f'x{i}': ['a'] * 300 for i in range(20)}
    pq.write_table(pa.table(dict(image=images, **columns)), tmp_path / 'a.parquet', row_group_size=100)
    assert len(list(find_parts(tmp_path / 'a.parquet'))) == 3
    assign(model, tmp_path / 'a.parquet', tmp_path / 'out')
    wanted = assign_images(ClusterModel.load(model), load_images(tmp_path / 'a.parquet'))
    assert labels(tmp_path / 'out')['cluster'].tolist() == wanted['cluster'].tolist()


def test_what_engines_leave_beside_their_tables_is_not_read(model, tmp_path):
    for place in ('day=1', '_temporary/0/task', 'day=2/_temporary'):
        (tmp_path / 'lake' / place).mkdir(parents=True)
        write_pixels(tmp_path / 'lake' / place / 'part-0.parquet', test.images[:20])
    (tmp_path / 'lake/_SUCCESS').touch()
    about = assign(model, tmp_path / 'lake', tmp_path / 'out', True)
    assert (about['n'], about['left_out']) == (20, 0)
    (tmp_path / 'lake/_delta_log').mkdir()
    (tmp_path / 'lake/_delta_log/0.json').write_text('{}')
    with pytest.raises(ValueError, match='holds a Delta table'):
        assign(model, tmp_path / 'lake', tmp_path / 'out', True)


@pytest.mark.parametrize('column', [
    pa.array([dict(x=1)] * 5), pa.array(['a'] * 5).dictionary_encode(), pa.array(['a'] * 5),
    pa.array([b'a'] * 5, pa.binary_view())])
def test_tables_without_pixels_are_left_out_in_one_sentence(column, model, tmp_path):
    pq.write_table(pa.table(dict(pixels=column)), tmp_path / 'a.parquet')
    with pytest.raises(ValueError, match='0 columns of bytes or lists: one called pixels is needed'):
        assign(model, tmp_path / 'a.parquet', tmp_path / 'out', True)


def test_a_name_beside_the_pixels_and_infinite_ones(model, tmp_path):
    table = as_bytes(test.images[:5]).append_column('name', pa.array(list('abcde')))
    pq.write_table(table.rename_columns(['drawing', 'name']), tmp_path / 'a.parquet')
    assert assign(model, tmp_path / 'a.parquet', tmp_path / 'out', True)['n'] == 5
    rows = test.images[:5].reshape(5, -1).astype(float)
    rows[1, 5], rows[2, 7] = np.inf, np.nan
    pq.write_table(pa.table(dict(pixels=rows.tolist())), tmp_path / 'a.parquet')
    about = assign(model, tmp_path / 'a.parquet', tmp_path / 'out', True)
    assert (about['n'], about['left_out']) == (3, 2)


@pytest.mark.parametrize('source', [None, pd.DataFrame(), test.images[:3], iter(['a.npy']), b'a.npy', [None], 5])
def test_sources_that_are_no_files_are_refused(source, model, tmp_path):
    with pytest.raises(ValueError, match='are assigned in parts from files, not from'):
        assign(model, source, tmp_path / 'deep/out', True)
    assert not list(tmp_path.iterdir())


def test_a_model_in_memory_is_refused(tmp_path):
    fitted = ClusterModel('pixels', 'kmeans', 4).fit(train.images[:60])
    with pytest.raises(ValueError, match='the folder of a saved model is needed, not a ClusterModel: save it first'):
        assign(fitted, tmp_path, tmp_path / 'out')


def test_out_may_lie_in_the_home_folder_and_not_in_the_source(model, tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    (tmp_path / 'scans').mkdir()
    np.save(tmp_path / 'scans/a.npy', test.images[:20])
    assign(model, tmp_path / 'scans', '~/out', True)
    assert len(labels(tmp_path / 'out')) == 20
    with pytest.raises(ValueError, match='lies inside'):
        assign(model, tmp_path / 'scans', '~/scans/out', True)
    with pytest.raises(ValueError, match='/ cannot be replaced as a whole'):
        assign(model, tmp_path / 'scans', '/', True)


def test_clusters_without_names_are_told_by_their_numbers(tmp_path, capfd):
    ClusterModel('pixels', 'kmeans', 4).fit(train.images[:100]).save(tmp_path / 'run/model')
    np.save(tmp_path / 'a.npy', test.images[:100])
    cli.mnist_assign([str(tmp_path / 'run'), str(tmp_path / 'a.npy'), '--engine', 'stream', '--as_is',
                      '--out', str(tmp_path / 'out')])
    assert 'cluster 0: ' in capfd.readouterr().out
    about = json.loads((tmp_path / 'out/run.json').read_text(), parse_constant=pytest.fail)
    assert {cluster['name'] for cluster in about['clusters']} <= {None, 'none of these'}


@needs_java
def test_a_session_of_a_person_lives_on(model, spark, tmp_path):
    "After a call that fails, and after a run that did not start it."
    np.save(tmp_path / 'a.npy', test.images[:50])
    (tmp_path / 'there').mkdir()
    with pytest.raises(Exception, match='already exists'):
        assign_on_spark(spark, model, tmp_path / 'a.npy', tmp_path / 'there', True)
    with pytest.raises(ValueError, match='Spark runs already with the master local.2., and not with local.7.'):
        scale.run_on_spark('local[7]', model, tmp_path / 'a.npy', tmp_path / 'out', True)
    scale.run_on_spark('local[2]', model, tmp_path / 'a.npy', tmp_path / 'out', True)
    check(labels(tmp_path / 'out'), in_memory(model, test.images[:50]))
    assert spark.range(5).count() == 5
    with pytest.raises(ValueError, match='whose name is not in UTF-8'):
        assign_on_spark(spark, model, tmp_path / 'a.npy', str(tmp_path / 'o\udcff'), True)


@needs_java
def test_what_only_folders_tell_is_no_feature(spark, tmp_path):
    rng = np.random.default_rng(0)
    for day in (0, 100):
        (tmp_path / f'lake[1]/day={day}').mkdir(parents=True)
        rows = pa.table({name: rng.normal(size=50) for name in 'ab'})
        pq.write_table(rows, tmp_path / f'lake[1]/day={day}/part-0.parquet')
    assert fit_on_spark(spark, tmp_path / 'lake[1]', 3).n_features_in_ == 2
    for k, n_sample, told in ((None, 50, 'k must be'), ('a', 50, 'k must be'), (1, 50, 'k must be'),
                              (3, 0, 'n_sample must be'), (3, -1, 'n_sample must be')):
        with pytest.raises(ValueError, match=told):
            fit_on_spark(spark, tmp_path / 'lake[1]', k, n_sample=n_sample)
