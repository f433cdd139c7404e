"""`python -m supernet` is the command `supernet`."""

import sys

from supernet.cli import main

sys.exit(main())
