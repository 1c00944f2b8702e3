"""A package, so that `tests/hw` is never taken for `hw` itself, whatever lies in it."""
