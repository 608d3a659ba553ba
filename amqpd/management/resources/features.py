"""What a RabbitMQ can and amqpd can as well: /api/feature-flags and /api/deprecated-features.

RabbitMQ's flags switch on what came with a version; here everything is always on. Tools ask for some of them by name.
"""

from __future__ import annotations

from typing import Final

from amqpd.management.answer import DONE, Answer, Listing
from amqpd.management.auth import Tag
from amqpd.management.errors import BadRequest
from amqpd.management.request import Request
from amqpd.management.router import route
from amqpd.management.rows import listed, row_columns

FLAGS: Final = {
    "classic_mirrored_queue_version": "Support setting version for classic mirrored queues",
    "classic_queue_type_delivery_support": "Bug fix for classic queue deliveries using mixed versions",
    "detailed_queues_endpoint": "Add a detailed queues HTTP API endpoint",
    "direct_exchange_routing_v2": "Bind direct exchanges to queues by key",
    "drop_unroutable_metric": "Count unroutable publishes to be dropped in stats",
    "empty_basic_get_metric": "Count AMQP `basic.get` on empty queues in stats",
    "feature_flags_v2": "Feature flags subsystem V2",
    "implicit_default_bindings": "Default bindings are now implicit, instead of being stored in the database",
    "listener_records_in_ets": "Store listener records in memory",
    "maintenance_mode_status": "Maintenance mode status",
    "message_containers": "Message containers",
    "quorum_queue": "Support queues of type `quorum`",
    "quorum_queue_non_voters": "Support new quorum queue members that do not vote yet",
    "rabbitmq_4.0.0": "Allows rolling upgrades to 4.0.x",
    "restart_streams": "Support for restarting streams with optional preferred next leader argument",
    "stream_filtering": "Support for stream filtering",
    "stream_queue": "Support queues of type `stream`",
    "stream_sac_coordinator_unblock_group": "Bug fix to unblock a group of consumers in a super stream partition",
    "stream_single_active_consumer": "Single active consumer for streams",
    "stream_update_config_command": "A new internal command that is used to update streams as part of a policy",
    "tracking_records_in_ets": "Store tracking records in memory",
    "user_limits": "Configure connection and channel limits for a user",
    "virtual_host_metadata": "Virtual host metadata (description, tags, etc)",
}
"""RabbitMQ's flags that say what is true here, each with RabbitMQ's description."""

COLUMNS: Final = row_columns("name", "desc", "doc_url", "state", "stability", "provided_by")


def show_list(request: Request) -> Listing:
    """All flags."""
    facts = {"doc_url": "", "state": "enabled", "stability": "required", "provided_by": "rabbit"}
    return listed(COLUMNS, ({"name": name, "desc": text, **facts} for name, text in sorted(FLAGS.items())))


def enable(request: Request) -> Answer:
    """Enable a flag, which is on already.

    Raises:
        BadRequest: there is no such flag.
    """
    if request.path["name"] not in FLAGS:
        raise BadRequest("unsupported")
    return DONE


def show_deprecated(request: Request) -> Answer:
    """There is nothing that will be taken away."""
    return Answer(content=[])


ROUTES: Final = (
    route("/feature-flags", Tag.ADMINISTRATOR, get=show_list),
    route("/feature-flags/{name}/enable", Tag.ADMINISTRATOR, put=enable),
    route("/deprecated-features", Tag.ADMINISTRATOR, get=show_deprecated),
    route("/deprecated-features/used", Tag.ADMINISTRATOR, get=show_deprecated),
)
