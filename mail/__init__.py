"""Mail: from a mailbox on an IMAP server to the customer's history.

- `imap`: the session with a server; the only importer of aioimaplib.
- `parse`: raw bytes become a mail's headers and text. Pure, run in a limited process.
- `classify`: automatic, bounced, list or personal. Pure.
- `ingest`: fetch, store, parse, match, log; one mail a transaction.
"""
