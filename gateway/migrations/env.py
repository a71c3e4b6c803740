from gateway.models import Base
from tradekit.service.migrations import run

run(Base.metadata)
