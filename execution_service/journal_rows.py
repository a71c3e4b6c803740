"""The journal's tables as SQL, and their rows <-> signals and legs. `journal.py` says when they are used."""

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

import asyncpg

from execution_service.signals import Leg, LegKind, LegState, OrderSide, Plan, Signal, SignalState
from execution_service.translation import alert_from_json
from tradekit.market.sizing import Side
from tradekit.service.wire import decimal_text

INSERT_ARRIVALS = """
WITH input AS (
  SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[],
                       $8::boolean[], $9::jsonb[], $10::timestamptz[]) WITH ORDINALITY
    AS t(id, user_id, account_id, exchange, symbol, alert_key, content_hash, key_from_alert, alert,
    received_at,
         place)
), added AS (
  INSERT INTO signals (id, user_id, account_id, exchange, symbol, alert_key, content_hash, key_from_alert,
  alert,
                       received_at, state)
  SELECT id, user_id, account_id, exchange, symbol, alert_key, content_hash, key_from_alert, alert,
  received_at,
         'received'
  FROM input ORDER BY place
  ON CONFLICT (account_id, alert_key) DO NOTHING
  RETURNING id, user_id, account_id
), noted AS (
  INSERT INTO events (user_id, account_id, signal_id, kind, attributes, created_at)
  SELECT user_id, account_id, id, 'signal.received', '{}', $11 FROM added
)
SELECT id FROM added
"""

UPDATE_SIGNAL = """
UPDATE signals SET state = $2, reason = $3, message = $4, plan = $5, finished_at = $6 WHERE id = $1
"""

UPSERT_LEG = """
INSERT INTO legs (signal_id, kind, index, attempt, state, side, quantity, trigger_price, limit_price,
                  trailing_percent, leverage, client_order_id, exchange_order_id, filled_quantity,
                  average_price, valid_until, reason, message, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
ON CONFLICT (signal_id, kind, index, attempt) DO UPDATE SET
  state = excluded.state, quantity = excluded.quantity, exchange_order_id = excluded.exchange_order_id,
  filled_quantity = excluded.filled_quantity, average_price = excluded.average_price,
  valid_until = excluded.valid_until, reason = excluded.reason, message = excluded.message,
  updated_at = excluded.updated_at
"""

INSERT_EVENT = """
INSERT INTO events (user_id, account_id, signal_id, kind, attributes, created_at) VALUES ($1, $2, $3, $4, $5,
$6)
"""

UPSERT_GUARD = """
INSERT INTO guards (user_id, account_id, symbol, signal_id, side, created_at)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (account_id, symbol) DO UPDATE SET signal_id = excluded.signal_id, side = excluded.side
"""

DELETE_GUARD = "DELETE FROM guards WHERE account_id = $1 AND symbol = $2 AND side = ANY($3)"


def signal_values(signal: Signal) -> tuple[Any, ...]:
    """What `UPDATE_SIGNAL` takes."""
    plan = None
    if signal.plan is not None:
        plan = json.dumps(
            {
                "side": signal.plan.side.value,
                "quantity": decimal_text(signal.plan.quantity),
                "reference_price": decimal_text(signal.plan.reference_price),
                "atr": None if signal.plan.atr is None else str(signal.plan.atr),
                "position_before": decimal_text(signal.plan.position_before),
            }
        )
    return (signal.id, signal.state.value, signal.reason, signal.message, plan, signal.finish_time)


def leg_values(leg: Leg, now: datetime) -> tuple[Any, ...]:
    """What `UPSERT_LEG` takes."""
    return (
        leg.signal_id,
        leg.kind.value,
        leg.index,
        leg.attempt,
        leg.state.value,
        leg.side.value if leg.side else None,
        leg.quantity,
        leg.trigger_price,
        leg.limit_price,
        leg.trailing_percent,
        leg.leverage,
        leg.client_order_id,
        leg.exchange_order_id,
        leg.filled_quantity,
        leg.average_price,
        leg.valid_until,
        leg.reason,
        leg.message,
        now,
    )


def leg_from(row: "asyncpg.Record") -> Leg:
    """A leg as it was written."""
    return Leg(
        signal_id=row["signal_id"],
        kind=LegKind(row["kind"]),
        index=row["index"],
        attempt=row["attempt"],
        state=LegState(row["state"]),
        side=OrderSide(row["side"]) if row["side"] else None,
        quantity=row["quantity"],
        trigger_price=row["trigger_price"],
        limit_price=row["limit_price"],
        trailing_percent=row["trailing_percent"],
        leverage=row["leverage"],
        client_order_id=row["client_order_id"],
        exchange_order_id=row["exchange_order_id"],
        filled_quantity=row["filled_quantity"],
        average_price=row["average_price"],
        valid_until=row["valid_until"],
        reason=row["reason"],
        message=row["message"],
    )


def signal_from(row: "asyncpg.Record", legs: tuple[Leg, ...]) -> Signal:
    """A signal as it was written, with its legs."""
    return Signal(
        id=row["id"],
        user_id=row["user_id"],
        account_id=row["account_id"],
        exchange=row["exchange"],
        symbol=row["symbol"],
        alert=alert_from_json(row["alert"]),
        receive_time=row["received_at"],
        sequence=row["sequence"],
        state=SignalState(row["state"]),
        reason=row["reason"],
        message=row["message"],
        finish_time=row["finished_at"],
        plan=_plan_from(row["plan"]),
        legs=legs,
    )


def _plan_from(text: str | None) -> Plan | None:
    if text is None:
        return None
    fields = json.loads(text)
    return Plan(
        side=Side(fields["side"]),
        quantity=Decimal(fields["quantity"]),
        reference_price=Decimal(fields["reference_price"]),
        atr=None if fields["atr"] is None else Decimal(fields["atr"]),
        position_before=Decimal(fields["position_before"]),
    )
