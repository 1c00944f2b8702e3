"""The bench: a stock Debian kernel in QEMU with real CAN, I2C and GPIO, for tests/bench.

`python -m tests.bench.vm` prepares the kernel (once), boots it on this machine's own root folder,
shared read-only under a memory overlay, runs the tests there and gives their exit status.
"""
