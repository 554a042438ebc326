"""A cluster of Spark on this machine, one of whose workers is killed half-way: same clusters, none twice, none lost.

    python bench/spark_cluster.py MODEL IMAGES [--workers 2] [--whole] >bench/spark_cluster.json

MODEL is the folder of a saved model, IMAGES an array .npy or a Parquet file in the form of MNIST. A master and workers
run in processes of their own. When a third of the parts is finished, one worker is killed with all that it has started
(kill -9); `--whole` kills none. The answers are compared with those of the plain loop. The exit code is 1 if anything
differs.
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import mkdtemp
from threading import Thread

import pandas as pd
import psutil
import pyspark
from fastcore.script import call_parse

from mnist_clustering.scale import assign, assign_on_spark, find_parts, spark_session

SPARK = Path(pyspark.__file__).parent
PORT = 7177


def start(log, kind, *words):
    "A master or a worker as a process of its own."
    environment = os.environ | dict(SPARK_HOME=str(SPARK), PYSPARK_PYTHON=sys.executable, SPARK_LOCAL_IP='127.0.0.1')
    command = [SPARK / 'bin/spark-class', f'org.apache.spark.deploy.{kind}', *words]
    return subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)


def kill(process):
    "kill -9 of a process and of all that it has started."
    family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    for one in family:
        one.send_signal(signal.SIGKILL)
    process.wait()
    return len(family)


def kill_half_way(worker, out, n_parts, told):
    "Wait until a third of the parts is finished, then kill the worker."
    while len([*out.rglob('part-*.parquet')]) < n_parts / 3:
        time.sleep(.2)
        if told.get('over'):
            return
    told['finished'] = len([*out.rglob('part-*.parquet')])
    told['killed'] = kill(worker)


@call_parse
def main(
    model: str, # folder of a saved model
    images: str, # array or table in the form of MNIST
    workers: int = 2, # how many
    whole: bool = False # kill none
):
    "Assign images on a cluster, kill a worker, and compare."
    place = Path(mkdtemp(prefix='spark-cluster-'))
    n_parts = len(list(find_parts(images, as_is=True)))
    with open(place / 'log.txt', 'w') as log:
        master = start(log, 'master.Master', '--host', '127.0.0.1', '--port', str(PORT), '--webui-port', '0')
        time.sleep(5)
        address = f'spark://127.0.0.1:{PORT}'
        others = [start(log, 'worker.Worker', address, '--cores', '1', '--memory', '2g', '--webui-port', '0')
                  for _ in range(workers)]
        try:
            spark = spark_session(address)
            while spark.sparkContext._jsc.sc().getExecutorMemoryStatus().size() < workers + 1:
                time.sleep(.5)
            out, told = place / 'labels', {}
            watcher = Thread(target=kill_half_way, args=[others[0], out, n_parts, told])
            if not whole:
                watcher.start()
            begin = time.perf_counter()
            counts, left_out = assign_on_spark(spark, model, images, str(out), as_is=True)
            seconds = time.perf_counter() - begin
            told['over'] = True
            spark.stop()
        finally:
            for process in [*others, master]:
                if process.poll() is None:
                    kill(process)
    begin = time.perf_counter()
    assign(model, images, place / 'plain', as_is=True)
    plain_seconds = time.perf_counter() - begin
    found, wanted = pd.read_parquet(out), pd.read_parquet(place / 'plain/labels')
    both = wanted.merge(found, on='file', how='outer', suffixes=['', '_on_spark'], indicator=True)
    about = dict(n=len(wanted), parts=n_parts, finished_when_killed=told.get('finished'),
                 processes_killed=told.get('killed', 0), twice=int(found['file'].duplicated().sum()),
                 lost=int((both['_merge'] == 'left_only').sum()), more=int((both['_merge'] == 'right_only').sum()),
                 other_cluster=int((both['cluster'] != both['cluster_on_spark']).sum()), left_out=len(left_out),
                 seconds=round(seconds, 1), seconds_of_the_plain_loop=round(plain_seconds, 1))
    print(json.dumps(about, indent=1))
    shutil.rmtree(place)
    wrong = about['twice'] + about['lost'] + about['more'] + about['other_cluster'] + about['left_out']
    sys.exit(int(wrong > 0 or not whole and not about['processes_killed']))
