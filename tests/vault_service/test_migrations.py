"""The schema: what the migrations make is what the models say."""

from alembic import command

from tests.conftest import TestDatabase
from tradekit.service.migrations import alembic_config


def test_models_and_migrations_agree(database: TestDatabase) -> None:
    command.check(alembic_config("vault", database.admin))


def test_migrations_go_down_and_up_again(database: TestDatabase) -> None:
    config = alembic_config("vault", database.admin)

    command.downgrade(config, "base")
    command.upgrade(config, "head")

    command.check(config)
