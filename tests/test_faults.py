"A dozen of the cases of bench/faults.py: killed, stopped, starved and disturbed, and nothing is lost or torn."
import subprocess
import sys
from pathlib import Path

import pytest

FAULTS = Path(__file__).parent.parent / 'bench/faults.py'


@pytest.mark.parametrize('kind, share', [('kill -9', .03), ('signals', .05), ('no locks', .25), ('damaged cache', .08),
                                         ('kill -9 of mnist_clear_cache', .03)])
def test_nothing_is_lost_and_the_next_run_is_fine(kind, share):
    ended = subprocess.run([sys.executable, FAULTS, '--only', kind, '--share', str(share), '--commands',
                            'mnist_assign'],
                           capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "'lost or torn': 0" in ended.stdout
