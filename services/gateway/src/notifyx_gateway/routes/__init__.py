"""The HTTP doors, one module a resource. Each function builds a blueprint from what it needs and nothing else."""
