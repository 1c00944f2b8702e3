"""The screen's own small set of widgets. Each module registers its class for KV files."""
