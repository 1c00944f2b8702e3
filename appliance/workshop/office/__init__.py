"""The office's pages: what people at the workshop see of kits, jobs and backups, in a browser.

Each page is made here whole; HTMX only asks for parts of it again. `pages` is what every page is
built on: who is asking, what they may, and the frame around it.
"""
