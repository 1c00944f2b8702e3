"""The appliance's HTTP API on a Unix socket: what the command line and the screen talk to."""
