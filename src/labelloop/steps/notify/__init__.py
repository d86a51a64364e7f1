"""notify: tell other programs what happened."""
