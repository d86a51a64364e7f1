"""The loop around the verbs: each is done when it is due, in a process of its own."""
