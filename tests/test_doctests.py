"The examples in the docstrings give what they say, all in one process."
import doctest
import importlib
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / 'mnist_clustering'
MODULES = sorted(path.stem for path in PACKAGE.glob('*.py') if not path.stem.startswith('_'))


def examples():
    "Every docstring of the package that has an example."
    finder = doctest.DocTestFinder()
    for module in MODULES:
        for test in finder.find(importlib.import_module(f'mnist_clustering.{module}')):
            if test.examples:
                yield pytest.param(test, id=test.name.removeprefix('mnist_clustering.'))


@pytest.mark.parametrize('example', list(examples()))
def test_an_example_gives_what_it_says(example):
    report = []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    runner.run(example, out=report.append, clear_globs=False)
    assert runner.failures == 0, ''.join(report)
