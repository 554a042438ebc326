"""500 questions at random, the same ones each time; bench/fuzz.py asks 20,000.

What is asked, and by which oracle each answer is judged, stands in tests/fuzzing.py.
"""
import shutil
import tempfile
from pathlib import Path

import pytest
from fuzzing import FUZZ
from hypothesis import HealthCheck, given, settings


@pytest.mark.parametrize('name', FUZZ)
def test_right_or_refused_in_one_sentence(name):
    fuzz = FUZZ[name]

    @settings(max_examples=fuzz.of_500, derandomize=True, deadline=None, database=None, print_blob=False,
              suppress_health_check=list(HealthCheck))
    @given(fuzz.cases)
    def ask(case):
        folder = Path(tempfile.mkdtemp(prefix='fuzz-'))
        try:
            assert fuzz.judge(case, folder) in ('refused', 'equal')
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    ask()


def test_so_many_are_asked():
    assert sum(fuzz.of_500 for fuzz in FUZZ.values()) == 500
    assert sum(fuzz.of_20_000 for fuzz in FUZZ.values()) == 20_000


def test_every_judge_names_its_oracle():
    assert [name for name, fuzz in FUZZ.items() if 'Oracle' not in fuzz.judge.__doc__] == []
