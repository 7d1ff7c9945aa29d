"""Histories in the manner of Jepsen: seeded work and faults against a whole platform, and proofs from the record.

``events`` is what is recorded, ``checker`` proves the promise from it (both pure), ``plan`` draws work and faults from
a seed (pure), ``shrink`` makes a failing plan smaller (pure). The rest is the shell: ``bed`` runs a platform behind
proxies, ``clients`` work on it and record, ``nemesis`` injects the faults, ``runner`` puts them together.
"""
