"""The flight recorder: what each PBX said in the last days, to look at a call again.

- `recorder`: takes bytes from the reader of the socket; a thread of its own writes them.
- `shelf`: the files, which of them go when there is no more room, and how they are read.
- `ids`: which channels a message speaks of, and which of them belong together. Pure.
- `trace`: finds the messages of one call.
- `pseudonyms`: hides who the people in these messages are. Pure.
"""
