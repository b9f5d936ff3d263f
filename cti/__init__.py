"""Telephony: from the bytes of an Asterisk to calls, queues and agents.

- `ami`: the connection to a PBX, and Asterisk's events as values.
- `model`: calls, legs and what happened with them. Pure.
- `tracker`: events in, call changes out. Pure.
- `queues`: the board of queues, members and agents. Pure.
- `service`: call changes become touches and screen pops.
- `flight`: what each PBX said in the last days, to look at a call again.
"""
