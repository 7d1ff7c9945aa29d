"""The operator: it reconciles NotifyxTopic and NotifyxPlatform resources and scales the services.

``topics`` and ``scaling`` plan and act, ``probing`` publishes and receives to see that the platform delivers, and
``kube`` is how all of them reach the API server. A room imports only rooms below its own; ``app`` and ``handlers`` put
them together.
"""
