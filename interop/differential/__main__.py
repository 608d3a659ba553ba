"""Run many programs on amqpd and RabbitMQ side by side.

    python -m interop.differential --programs 2000 --seed 1      # programs 1:0, 1:1, ...
    python -m interop.differential --only 1:17                   # one of them
    python -m interop.differential --replay failed.txt           # a script, as a failure prints it

Without --amqpd and --rabbitmq (ports of brokers that run already) both are started; a RabbitMQ
that runs already needs the plugins of pair.py. The exit status is 1 when there is
a difference that allowed.py does not name.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path

from interop.amqpd_server import AmqpdServer
from interop.differential.campaign import Campaign
from interop.differential.generate import program
from interop.differential.pair import PLUGINS, Pair
from interop.differential.program import parse
from interop.differential.side import Side
from interop.rabbitmq.server import RabbitMQServer


def main() -> None:
    """Run what the command line asks for."""
    options = parse_arguments()
    with ExitStack() as stack:
        amqpd = options.amqpd or stack.enter_context(AmqpdServer()).port
        rabbitmq = options.rabbitmq or stack.enter_context(RabbitMQServer(plugins=PLUGINS)).port
        campaign = Campaign(Pair(Side("amqpd", amqpd), Side("rabbitmq", rabbitmq)), options.shrink)
        stack.callback(campaign.pair.close)
        if options.replay:
            campaign.run(options.replay.name, parse(options.replay.read_text()))
        elif options.only:
            campaign.run(options.only, program(options.only))
        else:
            campaign.run_many(options.seed, options.programs, options.failures)
        print(campaign.summary())
    sys.exit(bool(campaign.failures))


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=int, default=2000, help="how many (2000)")
    parser.add_argument("--seed", default="1", help="another seed, other programs (1)")
    parser.add_argument("--failures", type=int, default=5, help="stop after so many (5)")
    parser.add_argument("--only", metavar="SEED:NUMBER", help="one program")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="a script")
    parser.add_argument("--no-shrink", dest="shrink", action="store_false", help="leave failing programs as they are")
    parser.add_argument("--amqpd", type=int, metavar="PORT", help="an amqpd that is running")
    parser.add_argument("--rabbitmq", type=int, metavar="PORT", help="a RabbitMQ that is running")
    return parser.parse_args()


if __name__ == "__main__":
    main()
