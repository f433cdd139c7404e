"""`python -m supernet` is the command `supernet`."""

import os
import sys

# `python -m` puts the working directory before everything else; what lies there, such as a `json.py`,
# is not what this package means. Those modules that Python itself loads before this line are looked for
# there nevertheless, unless it is started as `python -P`.
try:
    if not sys.flags.safe_path and sys.path[0] in ("", os.getcwd()):
        del sys.path[0]
except OSError:  # the working directory was removed, so nothing can lie there
    pass

from supernet.cli import main

sys.exit(main())
