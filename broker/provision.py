"""How does a federation get its place on a broker?

Whoever runs the broker builds it: through the management HTTP API (`provision`), or by typing what
`commands` prints. Both come from one plan of steps, taken in order, each of which may be taken again: a new
member is added by provisioning once more, and a password is changed the same way, unless the account is said to
be new. The virtual host's description names whose it is, so that nobody founds a federation over another's.

Source: RabbitMQ's "HTTP API Reference" and "Access Control".
"""

import base64
import json
import shlex
import ssl
import urllib.error
import urllib.request
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import quote, unquote, urlsplit

from hansa.broker import layout
from hansa.broker.errors import BrokerUnreachable, ProvisionFailed

TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Account:
    """An agent and the password its broker user shall have.

    Attributes:
        door_to: for a door instead of a member: the keeper to whom it leads.
        anew: the user must not be there yet, for somebody may live by the password it has.
    """

    agent: str
    password: str = field(repr=False)
    door_to: str = ""
    anew: bool = False

    def __post_init__(self) -> None:
        if not self.password:
            raise ValueError(f"{self.agent} needs a password")
        if not self.door_to:
            layout.check_member(self.agent)
        elif not layout.is_door(self.agent):
            raise ValueError(f"doors are named {layout.DOOR_PREFIX}<8 hex digits>, not {self.agent!r:.60}")


@dataclass(frozen=True, slots=True)
class Management:
    """The management API and its administrator.

    Attributes:
        url: without user and path: ``http://host:15672``.
        context: for ``https``; None trusts what the system trusts.
    """

    url: str
    user: str
    password: str = field(repr=False)
    context: ssl.SSLContext | None = field(default=None, repr=False)

    @classmethod
    def from_url(cls, url: str, context: ssl.SSLContext | None = None) -> "Management":
        """Read ``http(s)://user:password@host:port``.

        Raises:
            ValueError: not such a URL; the text never repeats the password.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or not parts.username:
            raise ValueError("management addresses look like https://user:password@host:15671")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        port = parts.port or (15671 if parts.scheme == "https" else 15672)
        return cls(
            f"{parts.scheme}://{host}:{port}{parts.path.rstrip('/')}",
            unquote(parts.username),
            unquote(parts.password or ""),
            context,
        )

    def call(self, method: str, path: str, body: object = None) -> bytes:
        """Make one request under ``/api``; return the answer's body.

        Raises:
            BrokerUnreachable: nobody answers.
            ProvisionFailed: the answer is no.
        """
        login = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        request = urllib.request.Request(
            f"{self.url}/api/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Basic {login}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S, context=self.context) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                said = error.read(2_000).decode(errors="replace")
            raise ProvisionFailed(f"{method} {unquote(path)}: {error.code} {_reason(said)}") from None
        except OSError as error:
            raise BrokerUnreachable(f"no management API at {self.url}: {error}") from None

    def find(self, path: str) -> Mapping[str, object] | None:
        """Return what stands under a path, or None if nothing does; errors as for `call`."""
        try:
            told = json.loads(self.call("GET", path))
        except ProvisionFailed as error:
            if ": 404 " in str(error):
                return None
            raise
        except ValueError:
            raise ProvisionFailed(f"GET {unquote(path)}: {self.url} is no management API") from None
        if not isinstance(told, dict):
            raise ProvisionFailed(f"GET {unquote(path)}: {self.url} is no management API")
        return told


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that shall stand on the broker: as a request, and as a line to type."""

    method: str
    path: str
    body: Mapping[str, object] = field(repr=False)
    line: str = field(repr=False)


def claim(management: Management, federation: str, keeper: Account, owner: str) -> None:
    """Build the place of a new federation for its keeper; again is fine for the same owner.

    Args:
        owner: fingerprint of the keeper's keys.

    Raises:
        ProvisionFailed: the virtual host or the keeper's user is somebody's already. Others as for `provision`.
    """
    place = _place(management, federation)
    if place is not None and place != layout.description(owner):
        raise ProvisionFailed(
            f"{federation}: {management.url} has a virtual host of this name already, and not by these keys; "
            "found it under another name, or have whoever runs the broker remove that one"
        )
    ours = place is not None  # then an earlier attempt may have left the user
    provision(management, federation, [replace(keeper, anew=not ours)], owner)


def provision(
    management: Management, federation: str, accounts: Collection[Account], owner: str = ""
) -> None:
    """Build a federation's place on the broker, or add members to it; again is fine.

    Args:
        owner: fingerprint of the keeper's first keys, to mark the place with; "" if unknown.

    Raises:
        BrokerUnreachable: nobody answers at the management URL.
        ProvisionFailed: the place is another's, a new account is there already, or a step was refused; those
            before it stand, and the next run goes on from there.
        BadName: the federation's or an agent's name.
    """
    first, *steps = plan(federation, accounts, administrator=management.user, owner=owner)
    place = _place(management, federation)
    if owner and place and place != layout.description(owner):
        raise ProvisionFailed(f"{federation}: the virtual host at {management.url} is another federation's")
    check_new(management, federation, accounts)
    if place is None:  # again, and it would lose its description
        management.call(first.method, first.path, first.body)
    for step in steps:
        management.call(step.method, step.path, step.body)


def check_new(management: Management, federation: str, accounts: Iterable[Account]) -> None:
    """Raise ProvisionFailed if an account that shall be new is there already; otherwise as `provision`."""
    for account in accounts:
        user = layout.user(federation, account.agent)
        if account.anew and management.find(f"users/{quote(user, safe='')}") is not None:
            raise ProvisionFailed(
                f"{user}: {management.url} has this user already, and another password would lock its agent out"
            )


def _place(management: Management, federation: str) -> str | None:
    """Return how the federation's virtual host is described, or None if there is none."""
    told = management.find(f"vhosts/{quote(layout.exchange(federation), safe='')}")
    return None if told is None else str(told.get("description") or "")


def withdraw(management: Management, federation: str, agent: str) -> None:
    """Remove an agent's user and queues, with what is in them; an agent that is not there is fine.

    Raises:
        BrokerUnreachable, ProvisionFailed: as `provision`.
    """
    vhost = quote(layout.exchange(federation), safe="")
    paths = [f"users/{quote(layout.user(federation, agent), safe='')}"]
    paths += [f"queues/{vhost}/{queue.name}" for queue in layout.queues(federation, agent)]
    for path in paths:
        try:
            management.call("DELETE", path)
        except ProvisionFailed as error:
            if ": 404 " not in str(error):
                raise


def commands(
    federation: str, accounts: Iterable[Account], administrator: str = "guest", owner: str = ""
) -> list[str]:
    """Return what an operator types to the same effect, for a POSIX shell.

    ``rabbitmqctl`` runs on a broker's node. ``rabbitmqadmin`` is what the management plugin serves at
    ``/cli/rabbitmqadmin``; give it the administrator with ``-u`` and ``-p``. Passwords stand in the lines.
    """
    return [step.line for step in plan(federation, accounts, administrator=administrator, owner=owner)]


def member_commands(federation: str, accounts: Iterable[Account]) -> list[str]:
    """Return the lines that add accounts to a place that stands; as `commands`."""
    vhost = layout.exchange(federation)
    return [step.line for account in accounts for step in _member(vhost, federation, account)]


def plan(
    federation: str, accounts: Iterable[Account], *, administrator: str, owner: str = ""
) -> Iterator[Step]:
    """Yield every step, in order; the first makes the virtual host."""
    vhost = layout.exchange(federation)
    at = quote(vhost, safe="")
    described = layout.description(owner) if owner else ""
    yield Step(
        "PUT",
        f"vhosts/{at}",
        {"description": described},
        f"rabbitmqctl add_vhost {vhost}" + (f" --description {shlex.quote(described)}" if owner else ""),
    )
    yield _permit(vhost, administrator, ".*", ".*", ".*")  # to declare the rest
    for name, internal in ((layout.exchange(federation), False), (layout.dead_exchange(federation), True)):
        yield Step(
            "PUT",
            f"exchanges/{at}/{name}",
            {"type": "topic", "durable": True, "internal": internal},
            f"rabbitmqadmin -V {vhost} declare exchange name={name} type=topic durable=true"
            f" internal={json.dumps(internal)}",
        )
    for policy in layout.policies(federation):
        yield Step(
            "PUT",
            f"policies/{at}/{policy.name}",
            {
                "pattern": policy.pattern,
                "definition": policy.definition,
                "priority": policy.priority,
                "apply-to": "queues",
            },
            f"rabbitmqctl set_policy -p {vhost} --priority {policy.priority} --apply-to queues"
            f" {policy.name} {shlex.quote(policy.pattern)} {shlex.quote(json.dumps(policy.definition))}",
        )
    for account in accounts:
        yield from _member(vhost, federation, account)


def _member(vhost: str, federation: str, account: Account) -> Iterator[Step]:
    at = quote(vhost, safe="")
    if account.door_to:
        queues = layout.door_queues(federation, account.agent, account.door_to)
        rights = layout.door_rights(federation, account.agent, account.door_to)
    else:
        queues = layout.queues(federation, account.agent)
        rights = layout.rights(federation, account.agent)
    for queue in queues:
        yield Step(
            "PUT",
            f"queues/{at}/{queue.name}",
            {"durable": True, "arguments": queue.arguments},
            f"rabbitmqadmin -V {vhost} declare queue name={queue.name} durable=true"
            f" arguments={shlex.quote(json.dumps(queue.arguments))}",
        )
        for source, key in queue.bindings:
            yield Step(
                "POST",
                f"bindings/{at}/e/{source}/q/{queue.name}",
                {"routing_key": key},
                f"rabbitmqadmin -V {vhost} declare binding source={source} destination={queue.name}"
                f" routing_key={shlex.quote(key)}",
            )
    user = layout.user(federation, account.agent)
    password = shlex.quote(account.password)
    # printf is built into the shell, so that the password does not show among the processes.
    add, change = (
        f"printf '%s\\n' {password} | rabbitmqctl {verb} {user}" for verb in ("add_user", "change_password")
    )
    yield Step(
        "PUT",
        f"users/{quote(user, safe='')}",
        {"password": account.password, "tags": ""},
        add if account.anew else f"{add} || {change}",
    )
    yield _permit(vhost, user, rights.configure, rights.write, rights.read)
    topics = {
        "exchange": layout.exchange(federation),
        "write": rights.topic_write,
        "read": rights.topic_read,
    }
    words = map(shlex.quote, (user, layout.exchange(federation), rights.topic_write, rights.topic_read))
    yield Step(
        "PUT",
        f"topic-permissions/{at}/{quote(user, safe='')}",
        topics,
        f"rabbitmqctl set_topic_permissions -p {vhost} {' '.join(words)}",
    )


def _permit(vhost: str, user: str, configure: str, write: str, read: str) -> Step:
    return Step(
        "PUT",
        f"permissions/{quote(vhost, safe='')}/{quote(user, safe='')}",
        {"configure": configure, "write": write, "read": read},
        f"rabbitmqctl set_permissions -p {vhost}"
        f" {' '.join(map(shlex.quote, (user, configure, write, read)))}",
    )


def _reason(said: str) -> str:
    """Return the sentence in an answer of the API."""
    try:
        told = json.loads(said)
    except ValueError:
        return said.strip()
    return str(told.get("reason") or told.get("error") or said) if isinstance(told, dict) else said
