"""Figures beside a rival's, in the same run: `make bench`.

Each module measures one thing on real data sizes and yields rows for the common table.
"""
