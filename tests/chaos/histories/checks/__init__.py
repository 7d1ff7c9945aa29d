"""The rules: each takes the facts of a history and yields the violations that it proves. Pure."""
