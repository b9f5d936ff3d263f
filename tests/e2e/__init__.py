"""Whole flows on real servers: a phone rings, a mail arrives, a page shows it, it is logged."""
