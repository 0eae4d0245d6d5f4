"""The web app of ``shiftlens serve``: look at what a run found, and steer with it.

It uses the public names of shiftlens, and those that read what is typed for ``shiftlens steer``; it
holds nothing of its own beside the pages: what a page shows is what a library call returned.
"""
