"""The touchscreen: shows and asks, never decides. Of the kit it imports `appliance.client` only."""
