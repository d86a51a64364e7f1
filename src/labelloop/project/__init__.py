"""Opens what a labelloop.toml names, and wires adapters to steps: the only room that does."""

from labelloop.project.project import Project

__all__ = ["Project"]
