"""The workshop's hub: what kits hand over is kept here, once and whole.

Another program on another machine; it shares the formats of records and backups with the kit and
nothing else.
"""
