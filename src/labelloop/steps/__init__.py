"""The verbs: index, collect, select, send, measure, build. Each is safe to run again."""
