"""What an application wrote -> predictions and feedback. One set of rules; pure.

Each kind of value has a file of its own, which holds the rule for one text and the same rule for a
column of a table. `tags.py` and `rows.py` put the values together.
"""
