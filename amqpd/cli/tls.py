"""``amqpd tls``: certificates for development, and what to do with them."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Final

import click

from amqpd.cli.dev_cert import DAYS, CannotMake, Made, make_certificates
from amqpd.cli.tables import printable, table
from amqpd.clock import SystemClock

FAILED: Final = 1
LOCAL: Final = ("localhost", "127.0.0.1", "::1")


@click.group()
def tls() -> None:
    """Certificates for TLS."""


@tls.command("dev-cert")
@click.argument("hosts", nargs=-1, metavar="[HOST]...")
@click.option("--dir", "folder", default="certs", show_default=True, metavar="PATH", help="Where the files go.")
@click.option("--client", default="guest", show_default=True, metavar="NAME", help="Common name of the client's.")
def dev_cert(hosts: tuple[str, ...], folder: str, client: str) -> None:
    """Make a local authority, and with it certificates for a broker and a client.

    HOST is a name or an address that clients connect to; without one the certificate is for localhost, 127.0.0.1, ::1
    and this machine's name. An authority that is in the directory already is used again, so that those who trust it
    need nothing new.
    """
    names = hosts or tuple(dict.fromkeys((*LOCAL, socket.gethostname())))
    try:
        made = make_certificates(Path(folder), names, client, SystemClock())
    except CannotMake as error:
        click.echo(f"amqpd: {error}", err=True)
        sys.exit(FAILED)
    click.echo(text_of(made))


def text_of(made: Made) -> str:
    """What was made, and what comes next."""
    folder = made.folder
    files: list[tuple[str, ...]] = [
        ("ca.pem", "the authority: clients trust it"),
        ("ca.key", "its key: whoever has it can make certificates that these clients trust"),
        ("server.pem, server.key", "for the broker"),
        ("client.pem, client.key", f"for a client that shows who it is: {made.client}"),
    ]
    lines = [
        f"{'A new authority' if made.new_authority else 'The authority that was there'} in {printable(str(folder))} "
        f"made certificates for {printable(', '.join(made.hosts))}, valid for {DAYS} days:",
        "",
        *(f"  {line}" for line in table(files, 2)),
        "",
        "They are for development. Start the broker, on port 5671 and for HTTPS on 15671:",
        "",
        f"  amqpd --tls-certificate {shell(folder / 'server.pem')} --tls-key {shell(folder / 'server.key')}",
        "",
        "Let clients show certificates, too:",
        "",
        f"  amqpd ... --tls-ca {shell(folder / 'ca.pem')} --tls-verify peer",
        "",
        "Look at it, and connect with pika:",
        "",
        f"  openssl s_client -connect {at(made.hosts[0])}:5671 -CAfile {shell(folder / 'ca.pem')}",
        "",
        f'  context = ssl.create_default_context(cafile="{folder / "ca.pem"}")',
        f'  context.load_cert_chain("{folder / "client.pem"}", "{folder / "client.key"}")  # only if it is asked for',
        f'  options = pika.SSLOptions(context, "{made.hosts[0]}")',
        f'  pika.BlockingConnection(pika.ConnectionParameters("{made.hosts[0]}", 5671, ssl_options=options))',
    ]
    return "\n".join(lines)


def shell(path: Path) -> str:
    """A path in a command."""
    text = printable(str(path))
    return f"'{text}'" if " " in text else text


def at(host: str) -> str:
    """A host in front of a port."""
    return f"[{host}]" if ":" in host else host
