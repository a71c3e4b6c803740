"""The only holder of exchange keys: it signs, it never reveals."""
