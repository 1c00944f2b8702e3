"""The vehicle voltage: the INA219 and the thread that samples it and does nothing else."""
