"""``/dashboard``: how the whole platform is, as this gateway sees it.

Data flows one way: :mod:`collector` asks the nodes, :mod:`readings` reads their metrics, :mod:`frames` makes a few
figures of what changed, :mod:`history` keeps ten minutes of those, :mod:`verdict` says in words what is wrong,
:mod:`charts` draws, and :mod:`overview` puts the page together. All but the collector are pure.

It is rendered here and not by the web client, because it is needed when that is broken.
"""
