"""Strategies: backtests and Pine scripts from one definition; no keys, no secrets."""
