"""The HTTP face of the store: thin handlers over the modules beside this package."""
