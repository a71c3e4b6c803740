"""OKX's bodies: compact JSON from flat names.

    instId=BTC-USDT-SWAP  attachAlgoOrds.0.slOrdPx=-1
    {"instId":"BTC-USDT-SWAP","attachAlgoOrds":[{"slOrdPx":"-1"}]}

    0.instId=BTC-USDT-SWAP  0.algoId=7  1.instId=ETH-USDT-SWAP  1.algoId=8
    [{"instId":"BTC-USDT-SWAP","algoId":"7"},{"instId":"ETH-USDT-SWAP","algoId":"8"}]

Every value is a JSON string, numbers too, as OKX documents them; its few Booleans are JSON booleans.
"""

import json
from collections.abc import Mapping

_BOOLEANS = frozenset({"reduceOnly", "cxlOnClosePos", "autoCxl", "cxlOnFail"})

_Object = dict[str, "str | bool | list[_Object]"]


def json_body(values: Mapping[str, str]) -> str:
    """The body with these parameters, in their order.

    Args:
        values: Checked by a rule: the objects of each list are numbered 0, 1, 2 … in this order.
    """
    body: _Object = {}
    elements: list[_Object] = []
    for name, value in values.items():
        *place, leaf = name.split(".")
        _object_at(place, body, elements)[leaf] = value == "true" if leaf in _BOOLEANS else value
    return json.dumps(elements or body, separators=(",", ":"))


def _object_at(place: list[str], body: _Object, elements: list[_Object]) -> _Object:
    """The object that a name belongs to: the body, an element of a list in it, or of the list that it is."""
    if not place:
        return body
    *list_name, index = place
    objects = elements
    if list_name:
        found = body.setdefault(list_name[0], [])
        assert isinstance(found, list)
        objects = found
    if int(index) == len(objects):
        objects.append({})
    return objects[int(index)]
