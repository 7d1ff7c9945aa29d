"""The operator: it reconciles NotifyxTopic and NotifyxPlatform resources and scales the services.

``topics`` and ``scaling`` plan and apply, ``probing`` checks delivery as a client does, and ``kube`` is the client of
the API server. A room imports only rooms below its own; ``app`` and ``handlers`` assemble them.
"""
