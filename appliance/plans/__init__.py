"""From a profile and a wish to a write plan: every request fixed before the car hears one."""
