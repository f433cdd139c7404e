"""`python -m supernet` is the command `supernet`."""

import os
import sys

# `python -m` puts the working directory before everything else; what lies there, such as a `json.py`,
# is not what this package means. Those modules that Python itself loads before this line are looked for
# there nevertheless, unless it is started as `python -P`.
if not sys.flags.safe_path:
    sys.path[:] = [entry for entry in sys.path if entry not in ("", os.getcwd())]

from supernet.cli import main

sys.exit(main())
