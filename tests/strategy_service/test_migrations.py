"""The tables are what the models say."""

from alembic import command

from tests.conftest import TestDatabase
from tradekit.service.migrations import alembic_config


def test_models_and_migrations_agree(database: TestDatabase) -> None:
    command.check(alembic_config("strategy", database.admin))


def test_the_migrations_can_be_taken_back(database: TestDatabase) -> None:
    config = alembic_config("strategy", database.admin)
    command.downgrade(config, "base")
    command.upgrade(config, "head")
    command.check(config)
