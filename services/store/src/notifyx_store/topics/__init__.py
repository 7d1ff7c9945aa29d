"""Topics: their table, their rows as the hot paths read them, who may do what with them, and how they are shown.

``permissions`` is pure. It may use ``base`` only.
"""
