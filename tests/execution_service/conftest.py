from tests.system import exchange_name, system, trader

__all__ = ["exchange_name", "system", "trader"]
