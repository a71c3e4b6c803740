"""Listen keys: one per account, for an hour from the last extension."""

from paper_exchange.listen_keys import VALIDITY_MS, ListenKeys


def test_a_key_lives_while_it_is_extended() -> None:
    keys = ListenKeys()
    key = keys.open(1, 0)
    assert keys.open(1, VALIDITY_MS - 1) == key
    assert keys.extend(1, 2 * VALIDITY_MS - 2) == key
    assert keys.account_of(key, 3 * VALIDITY_MS - 3) == 1
    assert keys.extend(1, 3 * VALIDITY_MS - 2) is None
    assert keys.account_of(key, 3 * VALIDITY_MS - 2) is None
    assert keys.open(1, 3 * VALIDITY_MS) != key


def test_accounts_have_their_own() -> None:
    keys = ListenKeys()
    first, second = keys.open(1, 0), keys.open(2, 0)
    keys.close(1)
    assert (keys.account_of(first, 1), keys.account_of(second, 1)) == (None, 2)
