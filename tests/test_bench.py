"The benchmark's own machinery, on contenders that do next to nothing."
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from mnist_clustering.bench import fitted_exponent, growth_table, markdown, plot_growth, plot_ratios, plot_roofline

BENCH = Path(__file__).parent.parent / 'bench'
CONTENDERS = '''
import time
import numpy as np

def sleep(stopwatch, seconds, **others):
    with stopwatch():
        time.sleep(seconds)
    return dict(labels=np.arange(6) // 3, n=6)

def fill(stopwatch, **others):
    with stopwatch():
        kept = np.ones(20_000_000)
    return dict(n=len(kept))

def fail(stopwatch, **others):
    raise MemoryError('too much')

CONTENDERS = dict(sleep=sleep, fill=fill, fail=fail)
'''


@pytest.fixture
def bench(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(BENCH)
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    (tmp_path / 'toy.py').write_text(CONTENDERS)
    from results import Bench
    return Bench(tmp_path / 'out' / 'results.json')


def test_a_contender_is_measured_in_a_process_of_its_own(bench):
    row = bench.fit('toy', 'fill')
    assert row['n'] == 20_000_000
    assert 140 < row['mb'] < 250 # 160 million bytes are 153 MB
    assert row['seconds'] > 0 and row['cpu'] >= 0


def test_medians_and_scores(bench):
    truth = np.array([3, 3, 3, 5, 5, 3])
    row, = bench.alternate('toy', {'sleep': 'ours'}, truth=truth, seconds=.05)
    assert row['runs'] == 3 and .05 <= row['seconds_min'] <= row['seconds'] <= row['seconds_max'] < 1
    assert row['clusters'] == 2 and row['coverage'] == 1 and row['accuracy'] == pytest.approx(5 / 6)
    assert 'labels' not in row


def test_what_fails_says_why_and_does_not_end_the_run(bench):
    row, = bench.alternate('toy', {'fail': 'ours'})
    assert row == dict(method='fail', stopped='MemoryError: too much')


def test_what_takes_too_long_is_stopped(bench, monkeypatch):
    monkeypatch.setattr('results.STARTING', 0)
    row = bench.fit('toy', 'sleep', limit=1, seconds=60)
    assert row == dict(method='sleep', stopped='stopped after 1 s')


def test_a_broken_run_goes_on_where_it_stopped(bench):
    from results import Bench
    times = []

    def work(bench):
        times.append(1)
        return dict(rows=[], ratios={'a / b': np.float64(2)})

    bench.section('first', work)
    again = Bench(bench.file)
    again.section('first', work)
    assert len(times) == 1
    again.finish()
    assert json.loads(bench.file.read_text())['sections']['first']['ratios'] == {'a / b': 2}
    assert not bench.part.exists()
    quick = Bench(bench.file, quick=True)
    quick.section('first', work)
    assert len(times) == 2 # other sizes are another run


def test_results_name_no_machine(bench):
    import platform
    assert platform.node() not in json.dumps(bench.results['machine']) or not platform.node()
    assert {'processor', 'cores', 'flags', 'memory_gb'} <= set(bench.results['machine'])


def test_sections_have_contenders_and_a_run(monkeypatch):
    monkeypatch.syspath_prepend(BENCH)
    monkeypatch.setattr(sys, 'argv', ['run.py'])
    import importlib
    for file in sorted((BENCH / 'sections').glob('[a-z]*.py')):
        section = importlib.import_module(f'sections.{file.stem}')
        assert section.CONTENDERS and callable(section.run), file


def test_what_grew_is_drawn_and_fitted():
    rows = [dict(method='one', n=n, seconds=n**2 / 1e6, mb=0., cpu=1.) for n in (1_000, 2_000, 4_000)]
    growth = dict(rows=rows, stopped={'one': '8,000 images would take about 64 s'})
    table = growth_table(growth)
    assert table.loc['one', 'exponent'] == pytest.approx(2)
    assert table.loc['one', 'then'].startswith('8,000')
    assert len(plot_growth(growth, ['one'])) == 2
    assert np.isnan(fitted_exponent([1], [1.]))


def test_tables_of_part_of_a_run():
    limit = dict(rates={name: 10. for name in ('numpy float32', 'TensorFlow float32', 'TensorFlow bfloat16', 'copy')},
                 steps=[dict(step='one', n=5, seconds=1., flop=10**9, bytes=10**8, gflops=1., share=.1, rate='float32',
                             bound='memory', formula='2 n', rest='nothing')], seconds=3.)
    results = dict(commit='abc', date='2026-01-01', versions={'numpy': '2'}, peers={}, ratios={'a / b': 2.},
                   machine=dict(processor='some', cores=2, flags=['avx2'], memory_gb=8, python='3.11'),
                   sections=dict(limit=limit))
    text = markdown(results)
    assert '| a / b | 2 |' in text and '| one | 5 |' in text
    assert plot_ratios(results['ratios']) and plot_roofline(limit)
