"""`python -m appliance`: the appliance's process."""

import sys

from appliance.daemon import main

sys.exit(main())
