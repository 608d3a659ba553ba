"""Run many programs about streams on amqpd and RabbitMQ side by side.

    python -m interop.differential.streams --programs 500 --seed 1
    python -m interop.differential.streams --only 1:17
    python -m interop.differential.streams --replay failed.txt

The options are those of python -m interop.differential. The exit status is 1 when there is a difference that known.py
does not name.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack

from interop.amqpd_server import AmqpdServer
from interop.differential.__main__ import parse_arguments
from interop.differential.program import parse
from interop.differential.streams.campaign import StreamCampaign
from interop.differential.streams.generate import program
from interop.differential.streams.pair import StreamPair
from interop.differential.streams.side import StreamSide
from interop.rabbitmq.server import RabbitMQServer


def main() -> None:
    """Run what the command line asks for."""
    options = parse_arguments()
    with ExitStack() as stack:
        amqpd = options.amqpd or stack.enter_context(AmqpdServer()).port
        rabbitmq = options.rabbitmq or stack.enter_context(RabbitMQServer()).port
        pair = StreamPair(StreamSide("amqpd", amqpd), StreamSide("rabbitmq", rabbitmq))
        stack.callback(pair.close)
        campaign = StreamCampaign(pair, options.shrink)
        if options.replay:
            campaign.run(options.replay.name, parse(options.replay.read_text()))
        elif options.only:
            campaign.run(options.only, program(options.only))
        else:
            campaign.run_many(options.seed, options.programs, options.failures)
        print(campaign.summary())
    sys.exit(bool(campaign.failures))


if __name__ == "__main__":
    main()
