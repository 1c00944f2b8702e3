"""ECUs and buses that are not the kit's own, each a process or server of its own."""
