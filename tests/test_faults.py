"A dozen of the cases of bench/faults.py: killed, stopped and without locks, and nothing is lost or torn."
import subprocess
import sys
from pathlib import Path

FAULTS = Path(__file__).parent.parent / 'bench/faults.py'
KINDS = 'kill -9', 'kill -9 of mnist_clear_cache', 'signals', 'no locks'


def test_nothing_is_lost_and_the_next_run_is_fine():
    ended = subprocess.run([sys.executable, FAULTS, '--only', *KINDS, '--share', '.03', '--commands', 'mnist_assign'],
                           capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert all(f'{kind}, mnist_' in ended.stdout for kind in KINDS)
    total = ended.stdout.splitlines()[-1]
    assert "'cases': 11" in total and "'next run fine': 11" in total and "'lost or torn': 0" in total
