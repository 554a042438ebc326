"What a run of the benchmark found: kept section by section, so that a broken run goes on where it stopped."
import json
import os
import signal
import subprocess
import sys
from datetime import date
from importlib import metadata
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
from measure import processor

from mnist_clustering.evaluation import score

HERE = Path(__file__).parent
STARTING = 90 # seconds for what is not measured: starting, reading, compiling
OURS = ['numpy', 'scipy', 'scikit-learn', 'numba', 'tensorflow-cpu', 'keras', 'umap-learn', 'fast_hdbscan']
PEERS = ['scikit-learn', 'hdbscan', 'fastcluster', 'faiss-cpu', 'genieclust', 'evoc', 'clustpy', 'torch', 'clustimage',
         'imcluster', 'umap-learn']


def commit():
    "The commit that is measured, with a + if files differ from it."
    def git(*words):
        return subprocess.run(['git', *words], cwd=HERE, capture_output=True, text=True).stdout.strip()

    changed = git('status', '--porcelain', '--untracked-files=no', '--', '../mnist_clustering', '../bench/sections')
    return git('rev-parse', '--short', 'HEAD') + ('+' if changed else '')


def peer_versions(python):
    "Name and version of what the peers' environment has."
    ask = f'import importlib.metadata as m, json; print(json.dumps({{n: m.version(n) for n in {PEERS}}}))'
    ended = subprocess.run([python, '-c', ask], capture_output=True, text=True)
    return json.loads(ended.stdout) if ended.returncode == 0 else {}


class Bench:
    "Runs contenders in processes of their own, by turns, and keeps what they give."

    def __init__(self, file, peers=None, quick=False, limit=120):
        self.file, self.part = file, file.with_suffix('.part.json')
        file.parent.mkdir(parents=True, exist_ok=True)
        self.quick, self.limit = quick, limit
        self.python = {'ours': sys.executable, 'peers': str(peers)}
        about = dict(commit=commit(), quick=quick, machine=processor(), sections={},
                     versions={name: metadata.version(name) for name in OURS})
        if peers:
            about['peers'] = peer_versions(self.python['peers'])
        self.results = about
        if self.part.exists():
            kept = json.loads(self.part.read_text())
            if all(kept[name] == about[name] for name in ('commit', 'quick', 'machine')):
                self.results = kept

    def section(self, name, work):
        "Do a section, unless it is done, and keep what it gives."
        if name in self.results['sections']:
            print(f'[bench] {name}: done before', flush=True)
            return
        print(f'[bench] {name}', flush=True)
        start = perf_counter()
        found = work(self)
        self.results['sections'][name] = found | dict(seconds=round(perf_counter() - start, 1))
        self.write(self.part)
        print(f'[bench] {name}: {perf_counter() - start:.0f} s', flush=True)

    def write(self, file):
        "Write the file whole or not at all."
        beside = file.with_name(file.name + '.new')
        beside.write_text(json.dumps(self.results, indent=1, default=round_off) + '\n')
        beside.replace(file)

    def finish(self):
        "All sections are done: the results take the place of the last ones."
        self.results['date'] = date.today().isoformat()
        self.write(self.file)
        self.part.unlink(missing_ok=True)

    def fit(self, module, title, where='ours', limit=None, unset=(), **arguments):
        "One contender once: its row, or a row that says why there is none."
        limit = limit or self.limit
        row = dict(method=title)
        with TemporaryDirectory() as folder:
            result = Path(folder) / 'result.json'
            environment = os.environ | {'MNIST_CLUSTERING_CACHE': folder, 'TF_CPP_MIN_LOG_LEVEL': '3'}
            if where == 'ours':
                before = os.environ.get('PYTHONPATH', '')
                environment['PYTHONPATH'] = os.pathsep.join(filter(None, [str(HERE.parent), before]))
            for name in unset:
                environment.pop(name, None)
            command = [self.python[where], str(HERE / 'child.py'), module, title, json.dumps(arguments), str(result)]
            child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                     text=True, start_new_session=True)
            try:
                _, said = child.communicate(timeout=limit + STARTING)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL) # with all processes that it started
                child.communicate()
                return row | dict(stopped=f'stopped after {limit} s')
            if child.returncode:
                last = (said.strip().splitlines() or [f'ended with {child.returncode}'])[-1]
                return row | dict(stopped=last[:200])
            row |= json.loads(result.read_text())
            labels = Path(f'{result}.npy')
            if labels.exists():
                row['labels'] = np.load(labels)
        print(f"[bench]   {title}: {row.get('seconds', np.nan):.2f} s", flush=True)
        return row

    def alternate(self, module, titles, repeats=3, truth=None, **arguments):
        """The contenders by turns: a row each, with the median of its runs.

        `titles` maps a title to 'ours' or 'peers', the environment. What took more than a minute, or was stopped, is
        not run again. `truth` are the true labels, for scores.
        """
        runs = {title: [] for title in titles}
        for turn in range(1 if self.quick else repeats):
            for title, where in titles.items():
                if turn == 0 or runs[title][0].get('seconds', np.inf) < 60:
                    runs[title].append(self.fit(module, title, where, **arguments))
        return [self.combine(rows, truth) for rows in runs.values()]

    def combine(self, rows, truth=None):
        "One row of several runs: medians, the least and the most seconds, and the scores of the last run."
        row = dict(rows[-1])
        labels = row.pop('labels', None)
        if 'stopped' in row:
            return row
        seconds = [one['seconds'] for one in rows]
        row |= {name: median(one[name] for one in rows) for name in ('seconds', 'cpu', 'mb')}
        row |= dict(seconds_min=min(seconds), seconds_max=max(seconds), runs=len(rows))
        if labels is not None and truth is not None:
            scores = score(truth[:len(labels)], labels)
            row |= dict(clusters=len(np.unique(labels[labels >= 0])), accuracy=scores['accuracy'], nmi=scores['nmi'],
                        coverage=float((labels >= 0).mean()))
        return row


def round_off(value):
    "Numbers of NumPy as plain ones."
    return value.item() if isinstance(value, np.generic) else value.tolist()
