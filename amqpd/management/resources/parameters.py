"""Runtime parameters: /api/parameters, and those of the whole broker at /api/global-parameters."""

from __future__ import annotations

from typing import Final

from amqpd.broker.global_parameters import GlobalParameterError
from amqpd.broker.parameters import Parameter, ParameterError
from amqpd.management.answer import DONE, Answer, Listing, One, put_answer
from amqpd.management.auth import Tag
from amqpd.management.errors import BadRequest, Missing
from amqpd.management.request import Request
from amqpd.management.router import route
from amqpd.management.rows import listed, row_columns
from amqpd.management.words import invalid

COLUMNS: Final = row_columns("value", "vhost", "component", "name")
GLOBAL_COLUMNS: Final = row_columns("name", "value")


def row_of(found: Parameter) -> dict[str, object]:
    """A parameter's row."""
    return {"value": found.value, "vhost": found.vhost, "component": found.component, "name": found.name}


def show_list(request: Request) -> Listing:
    """All parameters, those of one component, or those of one component in one virtual host."""
    parameters = request.node.broker.parameters
    component = request.path.get("component")
    found = [parameter for vhost in request.vhosts() for parameter in parameters.of(vhost, component)]
    return listed(COLUMNS, (row_of(parameter) for parameter in found))


def show(request: Request) -> One:
    """One parameter.

    Raises:
        Missing: there is none.
    """
    parameters = request.node.broker.parameters
    found = parameters.find(request.path["component"], request.vhost(), request.path["name"])
    if found is None:
        raise Missing
    return One(COLUMNS, row_of(found))


def put(request: Request) -> Answer:
    """Set a parameter."""
    vhost = request.vhost_to_change()
    request.need("value")
    component, name = request.path["component"], request.path["name"]
    if component == "policy":
        raise BadRequest("policies may not be set using this method")
    try:
        is_new = request.node.broker.parameters.set(component, vhost, name, request.body["value"], request.user.name)
    except ParameterError as error:
        raise invalid(error) from None
    return put_answer(is_new)


def delete(request: Request) -> Answer:
    """Clear a parameter."""
    vhost = request.vhost_to_change()
    component, name = request.path["component"], request.path["name"]
    if not request.node.broker.parameters.clear(component, vhost, name, request.user.name):
        raise Missing
    return DONE


def show_global_list(request: Request) -> Listing:
    """All global parameters, by name."""
    values = request.node.broker.globals.all()
    return listed(GLOBAL_COLUMNS, ({"name": name, "value": value} for name, value in values.items()))


def show_global(request: Request) -> One:
    """One global parameter.

    Raises:
        Missing: there is none.
    """
    values, name = request.node.broker.globals.all(), request.path["name"]
    if name not in values:
        raise Missing
    return One(GLOBAL_COLUMNS, {"name": name, "value": values[name]})


def put_global(request: Request) -> Answer:
    """Set a global parameter."""
    request.need("value")
    try:
        is_new = request.node.broker.globals.set(request.path["name"], request.body["value"], request.user.name)
    except GlobalParameterError as error:
        raise BadRequest(f"{error}.") from None
    return put_answer(is_new)


def delete_global(request: Request) -> Answer:
    """Clear a global parameter."""
    if not request.node.broker.globals.clear(request.path["name"], request.user.name):
        raise Missing
    return DONE


MAKER: Final = Tag.POLICYMAKER
ROUTES: Final = (
    route("/parameters", MAKER, get=show_list),
    route("/parameters/{component}", MAKER, get=show_list),
    route("/parameters/{component}/{vhost}", MAKER, get=show_list),
    route("/parameters/{component}/{vhost}/{name}", MAKER, get=show, put=put, delete=delete),
    route("/global-parameters", MAKER, get=show_global_list),
    route("/global-parameters/{name}", MAKER, get=show_global, put=put_global, delete=delete_global),
)
