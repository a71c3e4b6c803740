"""The routes: contract and handler together, one file a noun."""
