"""One module a revision, named by number and what it does."""
