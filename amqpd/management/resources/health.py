"""Health checks: 200 while all is well, 503 with a reason otherwise."""

from __future__ import annotations

from typing import Final

from amqpd.management.answer import Answer
from amqpd.management.auth import Tag
from amqpd.management.errors import BadRequest
from amqpd.management.request import Request
from amqpd.management.resources.nodes import find as find_node
from amqpd.management.router import Handler, Route, route

OK: Final = Answer(content={"status": "ok"})
ALONE: Final = Answer(content={"status": "ok", "reason": "single node cluster"})
ALIASES: Final = {
    "amqp091": "amqp",
    "amqp0.9.1": "amqp",
    "amqp0-9-1": "amqp",
    "amqp-0-9-1": "amqp",
    "amqp10": "amqp",
    "amqp1.0": "amqp",
    "amqps": "amqp/ssl",
}
DAY: Final = 86_400  # seconds
UNITS: Final = {"days": 1, "weeks": 7, "months": 30, "years": 365}
CHECKS: Final = "/health/checks"


def failed(reason: str, **more: object) -> Answer:
    """The answer of a check that found something."""
    return Answer(503, {"status": "failed", "reason": reason, **more})


def alarms(request: Request) -> Answer:
    """Is there enough memory and disk?"""
    found = [{"node": request.node.name, "resource": resource} for resource in request.node.broker.alarms.resources()]
    return failed("There are alarms in effect in the cluster", alarms=found) if found else OK


def local_alarms(request: Request) -> Answer:
    """The same of this node, which is all of the cluster."""
    found = [{"node": request.node.name, "resource": resource} for resource in request.node.broker.alarms.resources()]
    return failed("There are alarms in effect on the node", alarms=found) if found else OK


def port_listener(request: Request) -> Answer:
    """Does anything listen on this port?"""
    text = request.path["port"]
    if not text.isdecimal() or len(text) > 6:
        raise BadRequest("Invalid port")
    port = int(text)
    ports = list(dict.fromkeys(listener.port for listener in request.node.listeners))
    if port not in ports:
        return failed("No active listener", missing=port, ports=ports)
    return Answer(content={"status": "ok", "port": port})


def protocol_listener(request: Request) -> Answer:
    """Are these protocols, with commas between them, served?"""
    wanted = [ALIASES.get(name, name) for name in request.path["protocol"].lower().split(",")]
    served = list(dict.fromkeys(listener.protocol for listener in request.node.listeners))
    missing = [name for name in wanted if name not in served]
    if missing:
        return failed("No active listener", missing=",".join(missing), protocols=served)
    return Answer(content={"status": "ok", "protocol": ",".join(wanted), "protocols": wanted})


def virtual_hosts(request: Request) -> Answer:
    """Do all virtual hosts work? They cannot fail one by one here."""
    return OK


def certificate_expiration(request: Request) -> Answer:
    """Does a certificate expire within this time? Without TLS there is none."""
    within, unit = request.path["within"], request.path["unit"]
    if unit not in UNITS:
        raise BadRequest("Time unit not recognised. Supported units: days, weeks, months, years.")
    if not within.isdecimal() or len(within) > 6:
        raise BadRequest("Invalid expiration period")
    end = request.node.clock.time() + int(within) * UNITS[unit] * DAY
    expired = [
        {"node": request.node.name, "host": shown.host, "certfile": str(shown.path), "not_after": str(shown.not_after)}
        for shown in request.node.certificates()
        if shown.not_after.timestamp() <= end
    ]
    return failed("Certificates expiring", expired=expired) if expired else OK


def single_node(request: Request) -> Answer:
    """Would anything be lost with this node? Not as in a cluster."""
    return ALONE


def well(request: Request) -> Answer:
    """Whoever can ask gets a good answer."""
    return OK


def aliveness(request: Request) -> Answer:
    """Does the virtual host work? Nothing is made in it, unlike RabbitMQ 3's queue ``aliveness-test``."""
    request.vhost()
    return OK


def node_health(request: Request) -> Answer:
    """The oldest of the checks: this node, and its alarms."""
    if "node" in request.path:
        find_node(request)
    return local_alarms(request)


def check(path: str, handler: Handler, tag: Tag = Tag.MANAGEMENT) -> Route:
    """The route of one check."""
    return route(f"{CHECKS}/{path}", tag, get=handler)


ROUTES: Final = (
    check("alarms", alarms),
    check("local-alarms", local_alarms),
    check("port-listener/{port}", port_listener),
    check("protocol-listener/{protocol}", protocol_listener),
    check("virtual-hosts", virtual_hosts),
    check("certificate-expiration/{within}/{unit}", certificate_expiration),
    check("node-is-quorum-critical", single_node),
    check("node-is-mirror-sync-critical", single_node),
    check("quorum-queues-without-elected-leaders/all-vhosts/pattern/{pattern}", well),
    check("quorum-queues-without-elected-leaders/vhost/{vhost}/pattern/{pattern}", well),
    check("metadata-store/initialized", well),
    check("metadata-store/initialized/with-data", well),
    check("is-in-service", well, Tag.NOBODY),
    check("ready-to-serve-clients", well, Tag.NOBODY),
    check("below-node-connection-limit", well, Tag.NOBODY),
    check("reached-target-cluster-size", well, Tag.NOBODY),
    route("/aliveness-test/{vhost}", get=aliveness),
    route("/healthchecks/node", get=node_health),
    route("/healthchecks/node/{node}", get=node_health),
)
