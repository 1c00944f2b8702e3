"""`python -m hw` is `fieldkit-hw`."""

import sys

from hw.daemon import main

sys.exit(main())
