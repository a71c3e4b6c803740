from tradekit.service.migrations import run
from vault_service.models import Base

run(Base.metadata)
