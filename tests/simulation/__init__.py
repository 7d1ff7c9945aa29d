"""Histories of the real feed, hub, resume and outbox code in one process, one event loop, and simulated time.

Everything that happens follows from a seed: the steps, the network's delays, crashes, what is lost. A seed that fails
fails again, to the letter. The rules are those of :mod:`chaos.histories`.
"""
