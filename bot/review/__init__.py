"""What compliance asks of the log: entries in plain English, a call's story, filters, downloads. Read only.

`sentences` says an entry in English, `filters` reads what a reviewer asked for, `pages` cuts the log into pages by
keyset, `table` makes the CSV.
"""
