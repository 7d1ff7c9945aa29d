"""Fuzzing: seeded, mutated inputs for the code that reads what others send (``make fuzz``).

Each target drives the platform's own code in this process with bytes that come from a small kept corpus. An input is
answered, or refused by the typed error that its reader documents; anything else is a failure.

Why a mutator of our own: atheris follows coverage, but its instrumentation needs builds with clang, which nobody else
needs for a test here. Hypothesis is there already, in the tests of each module, and makes inputs from descriptions of
what is valid. These begin with what senders really send, are not kept small, and cost a fraction of a millisecond.
"""
