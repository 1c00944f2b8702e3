"""The simulated car: a separate process with ECUs, a battery and a sensor, honest enough to brick.

`python -m hw.sim` starts it. Nothing of the kit imports it except the tools that start a simulated
car and the sensor code that opens its register file.
"""
