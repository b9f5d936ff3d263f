"""Calls that ended while we could not see it, recovered from the PBX's own records.

- `records`: what a record says (`CdrRow`, `QueueRow`), and `RecordSource`, where records come from.
- `cdr`, `cel`, `queue_log`: read Asterisk's files. Pure.
- `reconstruct`: which records are of one call, and what they say of it. Pure.
- `files`: the source that reads the ends of such files.
- `search`: looks for calls in the sources until they are found or the time for it is over.
- `unseen`: what touches of such calls become, found or not.

Nothing is invented: a second that the records do not tell stays unknown.
"""
