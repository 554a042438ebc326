"""20,000 questions at random: how many were answered right, how many refused in one sentence, and how many faults.

`python bench/fuzz.py` writes bench/fuzz.json; `--seed 1` asks other questions, `--only csv idx` some kinds only.
Each kind is asked in a process of its own, whose memory is bounded. What is asked, and by which oracle each answer is
judged, stands in tests/fuzzing.py. The exit code is 1 if there was any fault, and the smallest example is printed.
"""
import argparse
import faulthandler
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / 'tests'))

RIGHT = ['refused', 'equal']
FAULTS = ['traceback', 'hang', 'nonsense', 'touched', 'memory', 'crash']
ADDRESSES = 20 * 2**30 # bytes: what asks for more gets a MemoryError
MOST = 2**30 # bytes that one question may add
DEAD = 90 # seconds: code that no alarm can end
PATIENCE = 60 # seconds to look for a smaller example


def peak() -> int:
    "The most memory of this process since the last `forget_peak`, in bytes; 0 where the system does not tell."
    try:
        lines = Path('/proc/self/status').read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith('VmHWM'))


def forget_peak() -> int:
    "Begin to measure the peak anew; what is in use now."
    try:
        Path('/proc/self/clear_refs').write_text('5')
    except OSError:
        return 0
    return peak()


def judge(fuzz, case):
    "Ask one question in an empty folder."
    from fuzzing import Fault
    folder = Path(tempfile.mkdtemp(prefix='fuzz-'))
    before = forget_peak()
    try:
        found = fuzz.judge(case, folder)
        if peak() - before > MOST:
            raise Fault('memory', f'{(peak() - before) / 1e9:.1f} GB more', 'memory')
        return found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def ask_kind(name: str, n: int, seed: int, note: Path) -> dict:
    "Ask all questions of one kind; the counts, and of each fault the smallest example."
    import hypothesis
    from fuzzing import FUZZ, Fault

    fuzz, counts, faults = FUZZ[name], Counter(), {}

    def ask(case):
        counts['cases'] += 1
        note.write_text(repr(case)[:5000], encoding='utf-8', errors='replace')
        faulthandler.dump_traceback_later(DEAD, exit=True)
        try:
            counts[judge(fuzz, case)] += 1
        except Fault as fault:
            counts[fault.kind] += 1
            faults.setdefault(fault.signature, dict(strategy=name, kind=fault.kind, about=str(fault)[:1000],
                                                    example=repr(case)[:2000], times=0))['times'] += 1
        finally:
            faulthandler.cancel_dump_traceback_later()

    settings = dict(max_examples=n, database=None, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
    generate = [hypothesis.Phase.generate]
    questions = hypothesis.given(fuzz.cases)(ask)
    hypothesis.seed(seed)(hypothesis.settings(**settings, phases=generate)(questions))()
    for signature, fault in list(faults.items())[:5]:
        fault['example'] = smallest(fuzz, settings, seed, signature) or fault['example']
    return dict(oracle=' '.join(fuzz.judge.__doc__.split()), **counts, faults=list(faults.values()))


def smallest(fuzz, settings, seed, signature) -> str | None:
    "The smallest question that has this fault, as Hypothesis finds it; None if it is not found again."
    import hypothesis
    from fuzzing import Fault
    last, end = [], time.monotonic() + PATIENCE

    def ask(case):
        try:
            if time.monotonic() < end:
                judge(fuzz, case)
        except Fault as fault:
            if fault.signature == signature:
                last.append(repr(case)[:2000])
                raise

    questions = hypothesis.given(fuzz.cases)(ask)
    phases = [hypothesis.Phase.generate, hypothesis.Phase.shrink]
    try:
        hypothesis.seed(seed)(hypothesis.settings(**settings, phases=phases, print_blob=False)(questions))()
    except Exception: # the fault that was wanted, or its end for want of time
        pass
    return last[-1] if last else None


def in_a_process(name: str, n: int, seed: int) -> dict:
    "Ask one kind in a process of its own; one that dies is a fault, and the question that it died of its example."
    with tempfile.TemporaryDirectory() as folder:
        result, note = Path(folder) / 'result.json', Path(folder) / 'note'
        command = [sys.executable, __file__, '--seed', str(seed), '--child', name, str(n), str(result), str(note)]
        ended = subprocess.run(command, capture_output=True, text=True, errors='replace')
        if result.exists():
            found = json.loads(result.read_text())
        else:
            kind = 'hang' if 'Timeout' in ended.stderr else 'crash'
            fault = dict(strategy=name, kind=kind, about=ended.stderr[-3000:], times=1,
                         example=note.read_text(errors='replace') if note.exists() else '')
            found = dict(cases=1, faults=[fault], **{kind: 1})
    print(f'{name}: ' + ', '.join(f'{found[key]:,} {key}' for key in ('cases', *RIGHT, *FAULTS) if found.get(key)),
          flush=True)
    for fault in found['faults']:
        print(f"  {fault['kind']}, {fault['times']} times: {fault['about']}\n    {fault['example']}", flush=True)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--only', nargs='+', help='kinds of questions')
    parser.add_argument('--share', type=float, default=1, help='of the 20,000')
    parser.add_argument('--at_once', type=int, default=2, help='processes')
    parser.add_argument('--child', nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        name, n, result, note = options.child
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
        try:
            found = ask_kind(name, int(n), options.seed, Path(note))
        except Exception: # a judge that fails is a fault of this file, and is shown as one
            found = dict(cases=1, crash=1, faults=[dict(strategy=name, kind='crash',
                                                        about=traceback.format_exc()[-3000:],
                                                        example=Path(note).read_text(), times=1)])
        Path(result).write_text(json.dumps(found))
        return 0
    from fuzzing import FUZZ, compile_all
    compile_all() # so that no child has to, while it is watched
    names = options.only or [*FUZZ]
    slowest_first = sorted(names, key=lambda name: name not in ('parameters', 'command lines', 'AutoDBSCAN'))
    with ThreadPoolExecutor(options.at_once) as pool:
        numbers = [max(1, round(FUZZ[name].of_20_000 * options.share)) for name in slowest_first]
        found = dict(zip(slowest_first, pool.map(in_a_process, slowest_first, numbers, [options.seed] * len(names))))
    keys = 'cases', *RIGHT, *FAULTS
    counts = {name: {key: found[name].get(key, 0) for key in keys} for name in names}
    faults = [fault for name in names for fault in found[name]['faults']]
    print('in all: ' + ', '.join(f'{sum(kind[key] for kind in counts.values()):,} {key}' for key in keys))
    if options.share == 1: # of the kinds that were not asked, what is known is kept
        file = HERE / 'fuzz.json'
        known = json.loads(file.read_text()) if file.exists() else dict(strategies={}, faults=[])
        for name in names:
            known['strategies'][name] = dict(seed=options.seed, **counts[name], oracle=found[name].get('oracle', ''))
        strategies = {name: known['strategies'][name] for name in FUZZ if name in known['strategies']}
        total = {key: sum(kind[key] for kind in strategies.values()) for key in keys}
        kept = [fault for fault in known['faults'] if fault['strategy'] not in names]
        file.write_text(json.dumps(dict(total=total, strategies=strategies, faults=kept + faults), indent=1) + '\n')
    return 1 if faults else 0


if __name__ == '__main__':
    sys.exit(main())
