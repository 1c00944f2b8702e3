"""The only code that reaches a car: links, gate, executor, journal. It imports no other floor."""
