"""Kill a broker again and again while clients publish with confirms and consume with acknowledgements.

    python -m interop.durability --kills 200 --seed 1
    python -m interop.durability --command "/usr/local/bin/amqpd --sync os"

Every confirmed message that was not acknowledged must be there in the end, each publisher's in order, and nothing else.
What was acknowledged and comes again is counted; it must not once a later commit was confirmed on the same channel.
The exit status is 1 when something is lost or wrong.
"""

from __future__ import annotations

import argparse
import logging
import sys

from interop.durability.campaign import Campaign


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="how many (200)")
    parser.add_argument("--seed", type=int, default=1, help="another seed, another run (1)")
    parser.add_argument("--command", default="", help="of the broker (AMQPD_COMMAND, else python -m amqpd)")
    options = parser.parse_args()
    logging.getLogger("pika").setLevel(logging.CRITICAL)  # it tells at length that its peer is dead
    campaign = Campaign(options.kills, options.seed, options.command)
    campaign.run()
    print(campaign.table())
    for fault in campaign.faults:
        print(fault)
    sys.exit(bool(campaign.faults))


if __name__ == "__main__":
    main()
