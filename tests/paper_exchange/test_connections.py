"""User streams can be cut and kept cut, one account's or all."""

from paper_exchange.connections import UserConnections


class Wire:
    def __init__(self, connections: UserConnections, account_id: int) -> None:
        self.is_open = True
        connections.add(self, account_id, self.close)

    def close(self) -> None:
        self.is_open = False


def test_only_the_named_account_is_cut() -> None:
    connections = UserConnections()
    mine, other = Wire(connections, 1), Wire(connections, 2)

    cut = connections.drop(1, block_ms=0, now_ms=1000)

    assert (cut, mine.is_open, other.is_open) == (1, False, True)
    assert connections.count() == connections.count(2) == 1


def test_all_are_cut_without_an_account() -> None:
    connections = UserConnections()
    wires = [Wire(connections, 1), Wire(connections, 1), Wire(connections, 2)]

    cut = connections.drop(None, block_ms=0, now_ms=1000)

    assert cut == 3
    assert not any(wire.is_open for wire in wires)


def test_a_block_ends_by_itself() -> None:
    connections = UserConnections()
    connections.drop(1, block_ms=5000, now_ms=1000)

    assert connections.is_blocked(1, 5999)
    assert not connections.is_blocked(1, 6000)
    assert not connections.is_blocked(2, 1000)


def test_a_block_of_all_holds_for_every_account_until_it_is_lifted() -> None:
    connections = UserConnections()
    connections.drop(None, block_ms=5000, now_ms=1000)
    assert connections.is_blocked(7, 1001)

    connections.unblock()

    assert not connections.is_blocked(7, 1001)
