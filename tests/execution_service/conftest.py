from tests.system import system, trader

__all__ = ["system", "trader"]
