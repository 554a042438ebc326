"""One contender in a process of its own: python bench/child.py MODULE TITLE ARGUMENTS RESULT

MODULE has a dict CONTENDERS, from a title to a function (stopwatch, folder, **arguments) that gives a dict or None.
ARGUMENTS is JSON, RESULT the JSON file to write; labels, if the function gives any, go into RESULT.npy.
"""
import importlib
import json
import resource
import sys
import warnings
from pathlib import Path

import numpy as np
from measure import Stopwatch

module, title, arguments, result = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_DATA, (12 * 2**30, 12 * 2**30)) # what needs more has a MemoryError
warnings.simplefilter('ignore')
stopwatch = Stopwatch()
contender = importlib.import_module(module).CONTENDERS[title]
found = contender(stopwatch, **json.loads(arguments)) or {}
labels = found.pop('labels', None)
if labels is not None:
    np.save(result + '.npy', np.asarray(labels))
Path(result).write_text(json.dumps(stopwatch.found | found))
