"""The gate: whether a request, and each frame of it, may reach the car."""
