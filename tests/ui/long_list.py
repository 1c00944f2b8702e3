"""A long list in a window: what is there at its top, in its middle and when more is added.

Run as a process of its own: `python -m tests.ui.long_list` prints the rows' titles as JSON.
"""

from __future__ import annotations

import json

from tests.benchmark.screen_list import SIZE, Shown, jobs_of
from tests.ui.tour import tour_of


def main() -> None:
    """Look three times."""
    jobs = jobs_of(1000)
    with tour_of(SIZE):
        shown = Shown()
        shown.open(jobs)
        top = shown.titles()
        shown.listing.scroll_y = 0.5
        middle = shown.titles()
        shown.change(jobs + jobs[:20])
        more = shown.titles()
        shown.change(jobs[:1])
        one = shown.titles()
    print(json.dumps({"top": top, "middle": middle, "more": more, "one": one}))


if __name__ == "__main__":
    main()
