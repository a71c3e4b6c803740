"""How Binance describes a contract in exchangeInfo."""

from paper_exchange.binance_wire import Json, plain, trimmed
from paper_exchange.exchange import MAX_OPEN_ORDERS
from paper_exchange.instruments import Instrument

_NEVER_DELIVERED = 4_133_404_800_000


def contract_json(instrument: Instrument, onboard_ms: int) -> Json:
    """A symbol of exchangeInfo."""
    tick, step = instrument.tick, instrument.step
    return {
        "symbol": instrument.symbol,
        "pair": instrument.symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": _NEVER_DELIVERED,
        "onboardDate": onboard_ms,
        "status": instrument.status,
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": instrument.base,
        "quoteAsset": instrument.quote,
        "marginAsset": instrument.quote,
        "pricePrecision": instrument.price_precision,
        "quantityPrecision": instrument.quantity_precision,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "settlePlan": 0,
        "triggerProtect": plain(instrument.trigger_protect, 4),
        "liquidationFee": plain(instrument.liquidation_fee, 6),
        "marketTakeBound": "0.05",
        "maxMoveOrderLimit": 10_000,
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": trimmed(tick),
                "maxPrice": trimmed(instrument.max_price),
                "tickSize": f"{tick:f}",
            },
            {
                "filterType": "LOT_SIZE",
                "minQty": f"{instrument.min_quantity:f}",
                "maxQty": trimmed(instrument.max_quantity),
                "stepSize": f"{step:f}",
            },
            {
                "filterType": "MARKET_LOT_SIZE",
                "minQty": f"{instrument.min_quantity:f}",
                "maxQty": trimmed(instrument.max_market_quantity),
                "stepSize": f"{step:f}",
            },
            {"filterType": "MAX_NUM_ORDERS", "limit": MAX_OPEN_ORDERS},
            {"filterType": "MIN_NOTIONAL", "notional": trimmed(instrument.min_notional)},
            {
                "filterType": "PERCENT_PRICE",
                "multiplierUp": plain(instrument.price_cap, 4),
                "multiplierDown": plain(instrument.price_floor, 4),
                "multiplierDecimal": "4",
            },
        ],
        "orderTypes": [
            "LIMIT",
            "MARKET",
            "STOP",
            "STOP_MARKET",
            "TAKE_PROFIT",
            "TAKE_PROFIT_MARKET",
            "TRAILING_STOP_MARKET",
        ],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"],
    }
