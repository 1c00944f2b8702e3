"""`make bench`: what the kit costs and gives, beside the tools that people use now.

    python -m tests.benchmark [--quick] [--only PART]     measure; writes build/bench.json
    python -m tests.benchmark.compare BASE                that file against an earlier one

`figures` says what a figure is, `rig` starts the car and the kit, each other module measures one
subject. These are measurements, not tests: a missed goal fails no build.
"""
