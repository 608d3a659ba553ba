"""A broker that is told to stop says so to its clients."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pika
import pytest
from pika.exceptions import AMQPConnectionError, ConnectionClosedByBroker

from interop.amqpd_server import AmqpdServer
from interop.rabbitmq.server import RabbitMQServer


def test_clients_are_told_320_and_the_port_closes(server_class: type[AmqpdServer | RabbitMQServer]) -> None:
    with ThreadPoolExecutor() as pool, ExitStack() as stack:
        parameters = pika.URLParameters(stack.enter_context(server_class()).url)
        connection = pika.BlockingConnection(parameters)
        connection.channel()
        stopping = pool.submit(stack.pop_all().close)
        with pytest.raises(ConnectionClosedByBroker) as closed:
            connection.process_data_events(time_limit=10)
        assert closed.value.reply_code == 320
        assert closed.value.reply_text == "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'"
        stopping.result(25)
    with pytest.raises(AMQPConnectionError):
        pika.BlockingConnection(parameters)
