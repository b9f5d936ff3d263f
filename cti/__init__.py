"""Telephony: from the bytes of an Asterisk to calls, queues and agents.

- `ami`: the connection to a PBX, and Asterisk's events as values.
- `model`: calls, legs and what happened with them. Pure.
- `tracker`: events in, call changes out. Pure.
- `queues`: the board of queues, members and agents. Pure.
- `service`: call changes become touches and screen pops; begin to read here.
- `people`: who is who on a call: agents, the far end, what was dialled. Pure.
- `progress`: calls in progress: what of them is stored, which cards are up. Pure.
- `touchlog`: what is written of a call into the history.
- `cards`: what the screens are told of a call. Pure.
- `live`: the queue board on screens.
- `recovery`: calls that ended while nobody could see it.
- `flight`: what each PBX said in the last days, to look at a call again.
"""
