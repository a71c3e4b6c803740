"""`/health`, `/ready`, `/api/v1/webhook/health`: for machines, and for people who set things up."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import grpc
from fastapi import APIRouter
from fastapi.responses import JSONResponse
from grpc_health.v1 import health_pb2
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from gateway.dependencies import Resources, ResourcesOf

router = APIRouter(tags=["Health"])

CHECK_TIMEOUT_S = 1.5
OK = "ok"


@router.get("/health", summary="Is the process alive")
async def health() -> dict[str, str]:
    """Answers as long as the process lives."""
    return {"status": OK}


@router.get("/api/v1/webhook/health", summary="Does the webhook answer")
async def webhook_health(resources: ResourcesOf) -> dict[str, str]:
    """`status` is ok; `webhook` says whether alerts are taken already."""
    return {"status": OK, "webhook": OK if resources.secrets.loaded else "starting"}


@router.get("/ready", summary="Is every dependency reachable")
async def ready(resources: ResourcesOf) -> JSONResponse:
    """200 when the database and every service answer, else 503; `checks` says what each one lacks."""
    checks = await readiness(resources)
    good = all(state == OK for state in checks.values())
    content = {"status": "ready" if good else "not_ready", "checks": checks}
    return JSONResponse(content, status_code=200 if good else 503)


async def readiness(resources: Resources) -> dict[str, str]:
    """What each dependency says: "ok", or what is wrong."""
    probes: dict[str, Awaitable[str]] = {"database": _database(resources)}
    probes |= {name: _service(stub) for name, stub in resources.health.items()}
    states = await asyncio.gather(*probes.values())
    webhook = OK if resources.secrets.loaded else "starting"
    return {**dict(zip(probes, states, strict=True)), "webhook": webhook}


async def _database(resources: Resources) -> str:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S), resources.database.begin() as session:
            await session.execute(text("SELECT 1"))
    except (SQLAlchemyError, OSError):
        return "unreachable"
    return OK


async def _service(stub: Any) -> str:
    try:
        answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=CHECK_TIMEOUT_S)
    except grpc.RpcError:
        return "unreachable"
    return OK if answer.status == health_pb2.HealthCheckResponse.SERVING else "not serving"
