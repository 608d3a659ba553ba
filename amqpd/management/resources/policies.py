"""Policies: /api/policies, and the operators' at /api/operator-policies."""

from __future__ import annotations

from typing import Final

from amqpd.broker.policy import Policy, PolicyError
from amqpd.broker.vhost import VHost
from amqpd.definitions.exporting import policy_row
from amqpd.management.answer import DONE, Answer, Listing, One, put_answer
from amqpd.management.auth import Tag
from amqpd.management.errors import Missing
from amqpd.management.request import Request
from amqpd.management.router import Route, route
from amqpd.management.rows import listed, row_columns
from amqpd.management.words import invalid

COLUMNS: Final = row_columns("vhost", "name", "pattern", "apply-to", "definition", "priority")


class PolicyResource:
    """The handlers for one sort of policy.

    Args:
        is_operator: those of operators.
    """

    def __init__(self, is_operator: bool) -> None:
        self._is_operator = is_operator

    def show_list(self, request: Request) -> Listing:
        """All policies, or those of one virtual host."""
        return listed(COLUMNS, (policy_row(vhost, found) for vhost in request.vhosts() for found in self._all(vhost)))

    def show(self, request: Request) -> One:
        """One policy."""
        vhost = request.vhost()
        return One(COLUMNS, policy_row(vhost, self._find(request, vhost)))

    def put(self, request: Request) -> Answer:
        """Set a policy."""
        vhost = request.vhost_to_change()
        request.need("pattern", "definition")
        name, body = request.path["name"], request.body
        before = vhost.policies.find(name, self._is_operator)
        try:
            policy = Policy(
                name,
                body["pattern"],
                body["definition"],
                body.get("priority", 0),
                body.get("apply-to", "all"),
                self._is_operator,
            )
        except PolicyError as error:
            raise invalid(error) from None
        vhost.set_policy(policy, request.user.name)
        return put_answer(before is None)

    def delete(self, request: Request) -> Answer:
        """Delete a policy."""
        vhost = request.vhost_to_change()
        vhost.delete_policy(self._find(request, vhost).name, self._is_operator, request.user.name)
        return DONE

    def routes(self, path: str, write_tag: Tag) -> tuple[Route, ...]:
        """The routes below a path."""
        return (
            route(path, get=self.show_list),
            route(path + "/{vhost}", get=self.show_list),
            route(path + "/{vhost}/{name}", write_tag=write_tag, get=self.show, put=self.put, delete=self.delete),
        )

    def _all(self, vhost: VHost) -> list[Policy]:
        return vhost.policies.operator_policies() if self._is_operator else vhost.policies.user_policies()

    def _find(self, request: Request, vhost: VHost) -> Policy:
        found = vhost.policies.find(request.path["name"], self._is_operator)
        if found is None:
            raise Missing
        return found


ROUTES: Final = (
    *PolicyResource(False).routes("/policies", Tag.POLICYMAKER),
    *PolicyResource(True).routes("/operator-policies", Tag.ADMINISTRATOR),
)
