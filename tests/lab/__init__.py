"""Real servers for tests: Asterisk and phones, mail, database, browser.

``install`` puts them on the machine, each module here starts and stops one of them, and
``fixtures`` offers them to pytest. Everything speaks on loopback and on free ports.
"""
