"""``/dashboard``: the state of the whole platform, as this gateway observes it.

Data flows one way: :mod:`collector` polls the nodes, :mod:`readings` parses their metrics, :mod:`intervals` computes
a few figures from two readings, :mod:`interval_buffer` stores ten minutes of those, :mod:`problems` words what is
wrong, :mod:`charts` draws, and :mod:`overview` assembles the page. :mod:`ledger` and :mod:`prometheus_charts` read
from the store and from Prometheus. Only these two and the collector do I/O.

The gateway renders the page, because it is needed when the web client is broken. The package may use ``upstream`` and
what is below that.
"""
