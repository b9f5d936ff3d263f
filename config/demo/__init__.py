"""The demo: a whole contact center on one machine, without a PBX or a mail server of your own.

- `customers`: 2,000 made-up customers, the same ones in each run.
- `pbx`: a PBX that plays calls recorded from a real Asterisk over real AMI.
- `mailbox`: an IMAP and SMTP server in memory, with mails that arrive.
- `run`: puts them together with the real daemon.
"""
