"""What the screens show and ask, without a window: one model for each screen.

A screen binds to a model's `state` and calls the model's methods, nothing more. Everything here
runs on the screen's own thread; calls to the appliance go through `ui.models.backend`.
"""
