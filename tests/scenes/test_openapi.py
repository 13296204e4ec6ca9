"""`/openapi.json` is what the daemon does: clients that are made of it get what it says."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from sender.sandbox import Behaviour
from tests.dialogs.api.client import call

if TYPE_CHECKING:
    from tests.scenes.world import World

_EXAMPLES = 20  # of each call and mode
_ENDLESS = "/v1/traces"  # its answer ends when the client goes away
_ASKED, _WITH_BODY = 22, 9  # calls; schemathesis does not ask for the description again
_CALLS = {
    *("POST /v1/messages", "POST /v1/batches", "GET /v1/messages/{id}", "GET /v1/queue", "GET /v1/lanes"),
    *("GET /v1/messages", "GET /v1/queue/ages"),
    *("GET /v1/lanes/{name}", "POST /v1/lanes/{name}", "GET /v1/memory", "POST /v1/memory", "GET /v1/suspensions"),
    *("POST /v1/suspensions", "DELETE /v1/suspensions", "DELETE /v1/suspensions/{id}", "POST /v1/retries"),
    *("POST /v1/bounces", "POST /v1/deletions", "GET /healthz", "GET /readyz", "GET /metrics", "GET /openapi.json"),
    *("GET /v1/traces", "GET /events.schema.json"),
}


async def _running(world: World) -> None:
    """Start a daemon with a lane, a message in it, and something that is held."""
    await world.site("full.test", Behaviour(full_prefixes=("user",)))
    await world.start({"retry": {"schedule": ["1h"]}})
    parts = {"from": "news@origin.test", "to": "user@full.test", "text": "hi"}
    assert (await call(world.http_port, "POST", "/v1/messages", parts)).status == 202
    await world.until("it is deferred", lambda: world.books().most_attempts == 1)
    assert (await call(world.http_port, "POST", "/v1/suspensions", {"domain": "held.test", "for": "1h"})).status == 201


async def _over(world: World) -> None:
    """Stop; who was sent mail that could not be delivered is of no interest here."""
    await world.stop(drain_s=0.0)
    world.notices = world.books().notices


async def test_the_description_has_every_call(world: World) -> None:
    """Each call of the contract is described with its scope, its body, its answer and its errors; examples are good."""
    await _running(world)
    description = (await call(world.http_port, "GET", "/openapi.json")).json
    found = {
        f"{method.upper()} {path}": operation
        for path, operations in description["paths"].items()
        for method, operation in operations.items()
    }
    assert found.keys() == _CALLS
    assert len({operation["operationId"] for operation in found.values()}) == len(_CALLS)
    for name, operation in found.items():
        sends = name.startswith(("POST", "DELETE")) and "{id}" not in name
        assert ("requestBody" in operation, bool(operation["security"])) == (sends, "/v1/" in name)
    schemas = description["components"]["schemas"]
    for name in ("MessageBody", "BatchBody"):
        for example in schemas[name]["examples"]:
            path = "/v1/messages" if name == "MessageBody" else "/v1/batches"
            assert (await call(world.http_port, "POST", path, example)).status == 202
    await _over(world)


async def test_answers_have_the_keys_that_are_described(world: World) -> None:
    """What the reading calls answer has every key of its description, and the contract's among them."""
    await _running(world)
    description = (await call(world.http_port, "GET", "/openapi.json")).json
    schemas = description["components"]["schemas"]
    (lane,) = (await call(world.http_port, "GET", "/v1/lanes")).json["lanes"]
    assert lane.keys() >= schemas["LaneAnswer"]["properties"].keys()
    queue = (await call(world.http_port, "GET", "/v1/queue")).json
    assert queue.keys() == schemas["QueueAnswer"]["properties"].keys()
    assert queue["domains"][0].keys() == schemas["DomainAnswer"]["properties"].keys()
    (held,) = (await call(world.http_port, "GET", "/v1/suspensions")).json["suspensions"]
    assert held.keys() == schemas["SuspensionAnswer"]["properties"].keys()


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
async def test_clients_made_of_the_description_are_answered_as_it_says(world: World, mode: GenerationMode) -> None:
    """Calls that the description allows, and calls that it does not, have the statuses and bodies that it names.

    What it allows may be refused: no schema can say what an address is.
    """
    await _running(world)
    url = f"http://127.0.0.1:{world.http_port}"
    schema = await asyncio.to_thread(schemathesis.openapi.from_url, f"{url}/openapi.json")

    def ask(operation: Any) -> None:  # noqa: ANN401 - schemathesis has no public name for it
        @settings(
            max_examples=_EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.generate],
        )
        @given(case=operation.as_strategy(mode))
        def each(case: Any) -> None:  # noqa: ANN401 - as above
            case.call_and_validate(base_url=url, excluded_checks=[positive_data_acceptance])

        each()

    described: list[Any] = list(schema.get_all_operations())
    operations = [operation for result in described if (operation := result.ok()).path != _ENDLESS]
    if mode is GenerationMode.NEGATIVE:  # what is not allowed of a call without a body is another call
        operations = [operation for operation in operations if operation.body]
    for operation in operations:
        await asyncio.to_thread(ask, operation)
    assert len(operations) == (_ASKED if mode is GenerationMode.POSITIVE else _WITH_BODY)
    await _over(world)
