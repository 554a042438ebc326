"What went wrong for others, as they told it in public: bench/reports.py tries each of it, bench/reports.md lists it."
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / 'bench'))
import reports  # noqa: E402, it lies in bench


@pytest.mark.parametrize('name', reports.threads())
@pytest.mark.filterwarnings('ignore')
def test_a_thread(name):
    reports.attempt(reports.threads()[name])


def test_the_table_is_that_of_the_threads():
    assert (ROOT / 'bench/reports.md').read_text(encoding='utf-8') == reports.table()


def test_each_thread_has_an_address_of_its_own_and_says_what_happens():
    told = [reports.told(function) for function in reports.threads().values()]
    told += [(hit, here, f'{reports.GITHUB}/{place}') for place, hit, here, _ in reports.ELSEWHERE]
    links = [link for _, _, link in told]
    assert len(set(links)) == len(links) >= 40
    for hit, here, link in told:
        assert re.fullmatch(rf'{reports.GITHUB}/[^/]+/[^/]+/(issues|pull)/[0-9]+', link)
        assert here.startswith(('Right', 'Refused in one sentence', 'Does not apply: ')), here
        assert hit.endswith(('.', '?')) and '|' not in hit + here


@pytest.mark.parametrize('test', [test for *_, test in reports.ELSEWHERE])
def test_what_covers_a_thread_is_there(test):
    file, name = test.split(': ')
    assert f'def {name}(' in (ROOT / 'tests' / file).read_text(encoding='utf-8')
