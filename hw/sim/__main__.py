"""`python -m hw.sim` is the simulated car."""

import sys

from hw.sim.car import main

sys.exit(main())
