"""`python -m whywait`: the command line."""

import sys

from whywait.tracer.cli import main

sys.exit(main())
