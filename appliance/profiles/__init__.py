"""What the kit knows of each ECU: signed data files, never code."""
