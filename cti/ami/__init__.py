"""The connection to an Asterisk over AMI.

- `framing`: bytes in, whole messages out. Pure.
- `codec`: one message becomes one event value; the only place where Asterisk's words are
  translated. Pure.
- `events`: those values.
- `protocol`: the adapter to panoramisk, the only importer of it.
- `source`: keeps a PBX connected: login, watchdog, backoff.
- `actions`: orders to the PBX.
- `traces`: recorded streams, a source like any other.
"""
