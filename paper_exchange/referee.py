"""The referee's account of what happened: everything in the books as JSON, never a secret."""

from decimal import Decimal
from typing import Any

from paper_exchange.accounts import Account, Position
from paper_exchange.exchange import Exchange
from paper_exchange.margin import liquidation_price
from paper_exchange.orders import AttachedExit, ConditionalOrder, Fill, Order

Json = dict[str, Any]


def state_json(exchange: Exchange, now_ms: int, *, api_key: str | None) -> Json:
    """The state of all accounts, or of the one with this key. Numbers are strings, times are Unix ms."""
    market, books = exchange.market, exchange.books
    accounts = [a for a in books.accounts.values() if api_key in (None, a.api_key)]
    return {
        "time": now_ms,
        "seed": market.seed,
        "speed": market.speed,
        "prices": {symbol: _quote(exchange, symbol, now_ms) for symbol in market.instruments},
        "accounts": [_account(exchange, account, now_ms) for account in accounts],
        "orders": [entry for account in accounts for entry in _orders(exchange, account)],
        "positions": [
            _position(exchange, account, position, now_ms)
            for account in accounts
            for position in account.open_positions()
        ],
        "fills": [_fill(fill) for account in accounts for fill in books.of(account).fills],
    }


def _quote(exchange: Exchange, symbol: str, now_ms: int) -> Json:
    quote = exchange.market.quote(symbol, now_ms)
    return {"last": str(quote.last), "mark": str(quote.mark)}


def _account(exchange: Exchange, account: Account, now_ms: int) -> Json:
    margin = exchange.risk.margin(account, now_ms)
    return {
        "account_id": account.account_id,
        "exchange": account.venue,
        "api_key": account.api_key,
        "balance": _text(account.wallet_balance),
        "available_balance": _text(margin.available),
        "unrealized_profit": _text(margin.unrealized),
        "position_mode": "hedge" if account.hedge_mode else "one_way",
        "multi_assets": account.multi_assets,
        "created_time": account.create_ms,
    }


def _orders(exchange: Exchange, account: Account) -> list[Json]:
    """Plain and conditional orders in the order of their arrival; `kind` tells them apart."""
    book = exchange.books.of(account)
    entries = [*map(_order, book.orders.values()), *map(_conditional, book.conditional.values())]
    return sorted(entries, key=lambda entry: entry["arrival_time"])


def _order(order: Order) -> Json:
    return {
        "kind": "order",
        "account_id": order.account_id,
        "order_id": order.order_id,
        "client_order_id": order.client_order_id,
        "symbol": order.symbol,
        "side": order.side,
        "position_side": order.position_side,
        "type": order.type,
        "time_in_force": order.time_in_force,
        "quantity": _text(order.quantity),
        "price": _text(order.price),
        "trigger_price": _text(order.trigger_price),
        "executed_quantity": _text(order.executed),
        "average_price": _text(order.average_price),
        "reduce_only": order.reduce_only,
        "close_position": order.close_position,
        "status": order.status,
        "arrival_time": order.create_ms,
        "update_time": order.update_ms,
        "algo_id": order.algo_id,
        "attached": [_attached(exit_) for exit_ in order.attached],
    }


def _attached(exit_: AttachedExit) -> Json:
    """An exit that will wait for its triggers once its entry has filled."""
    stop, profit = exit_.stop_loss, exit_.take_profit
    return {
        "client_order_id": exit_.client_algo_id,
        "quantity": _text(exit_.quantity),
        "stop_price": _text(stop.trigger_price) if stop else None,
        "take_profit_price": _text(profit.trigger_price) if profit else None,
    }


def _conditional(order: ConditionalOrder) -> Json:
    return {
        "kind": "algo",
        "account_id": order.account_id,
        "algo_id": order.algo_id,
        "client_order_id": order.client_algo_id,
        "symbol": order.symbol,
        "side": order.side,
        "position_side": order.position_side,
        "type": order.type,
        "time_in_force": order.time_in_force,
        "quantity": _text(order.quantity),
        "price": _text(order.price),
        "trigger_price": _text(order.trigger_price),
        "activation_price": _text(order.activation_price),
        "callback_rate": _text(order.callback_rate),
        "take_profit_price": _text(order.take_profit.trigger_price) if order.take_profit else None,
        "callback_spread": _text(order.callback_spread),
        "working_type": order.working_type,
        "reduce_only": order.reduce_only,
        "close_position": order.close_position,
        "status": order.status,
        "arrival_time": order.create_ms,
        "trigger_time": order.trigger_ms,
        "update_time": order.update_ms,
        "order_id": order.order_id,
        "reject_reason": order.reject_reason,
    }


def _position(exchange: Exchange, account: Account, position: Position, now_ms: int) -> Json:
    quote = exchange.market.quote(position.symbol, now_ms)
    setting = account.setting(position.symbol)
    at_loss = liquidation_price(
        account,
        position,
        lambda symbol: exchange.market.quote(symbol, now_ms),
        exchange.instrument,
        margin=exchange.risk.margin(account, now_ms),
    )
    return {
        "account_id": account.account_id,
        "symbol": position.symbol,
        "position_side": position.side,
        "quantity": _text(position.quantity),
        "entry_price": _text(position.entry_price),
        "mark_price": _text(quote.mark),
        "unrealized_profit": _text(position.unrealized(quote.mark)),
        "liquidation_price": _text(at_loss),
        "margin_type": setting.margin_type,
        "leverage": setting.leverage,
        "isolated_wallet": _text(position.isolated_wallet),
        "update_time": position.update_ms,
    }


def _fill(fill: Fill) -> Json:
    return {
        "account_id": fill.account_id,
        "trade_id": fill.trade_id,
        "order_id": fill.order_id,
        "client_order_id": fill.client_order_id,
        "symbol": fill.symbol,
        "side": fill.side,
        "position_side": fill.position_side,
        "price": _text(fill.price),
        "quantity": _text(fill.quantity),
        "commission": _text(fill.commission),
        "realized_pnl": _text(fill.realized_pnl),
        "maker": fill.maker,
        "time": fill.time_ms,
    }


def _text(value: Decimal) -> str:
    """Plain notation, at most eight decimals, no trailing zeros."""
    text = f"{round(value, 8):f}"
    return (text.rstrip("0").rstrip(".") or "0") if "." in text else text
