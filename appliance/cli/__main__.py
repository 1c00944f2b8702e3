"""`python -m appliance.cli`: the same as `fieldkit`."""

import sys

from appliance.cli import main

sys.exit(main())
