"""`python -m ui` is `fieldkit-ui`."""

import sys

from ui.program import main

sys.exit(main())
