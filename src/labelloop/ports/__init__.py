"""What the steps need of foreign technology, a file each.

Each has an in-memory adapter in `labelloop.testing`; one contract suite holds all of them to the
behaviour stated here.
"""
