"""Which orders are there, and how does one travel to the daemon? As a line of JSON.

Every area adds its own to the table.
"""

import json
from functools import cache
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from hansa.agents.admission.membership import (
    Admit,
    AwaitArrival,
    CloseInvite,
    ForgetDoors,
    Leave,
    OpenInvite,
    Reinstate,
    Reject,
    ShowApplicant,
    ShuttableDoors,
    Suspend,
)
from hansa.agents.admission.rekeying import RevokeKey, RotateKeys
from hansa.agents.admission.succession import AbandonHistory, ApproveTakeover, ShowTakeover, TakeOver
from hansa.agents.care.keeping import GoOn
from hansa.agents.core.rollcall import CallRoll
from hansa.agents.data.orders import AddData, WithdrawData
from hansa.agents.data.withdrawing import ProveRow, WithdrawRows
from hansa.agents.errors import AgentError
from hansa.agents.jobs.orders import Awaits, Cancel, Resume, Submit
from hansa.agents.jobs.serving import Predict
from hansa.agents.jobs.takeaway import Export
from hansa.agents.payouts.orders import (
    ApprovePayout,
    DisputePayout,
    DraftPayout,
    Finality,
    HoldPayout,
    NoteUse,
    ProposePayout,
    ReleasePayout,
    ReviewPayout,
    SettlePayout,
    WithdrawPayout,
)
from hansa.agents.service.office import Order
from hansa.agents.service.status import Reload, Status, Stop

ORDERS: dict[str, type[Order]] = {
    "status": Status,
    "stop": Stop,
    "reload": Reload,
    "call-roll": CallRoll,
    "go-on": GoOn,
    "data-add": AddData,
    "data-withdraw": WithdrawData,
    "data-withdraw-rows": WithdrawRows,
    "data-prove": ProveRow,
    "job-submit": Submit,
    "job-cancel": Cancel,
    "job-awaits": Awaits,
    "job-resume": Resume,
    "job-export": Export,
    "job-predict": Predict,
    "open-invite": OpenInvite,
    "close-invite": CloseInvite,
    "show-applicant": ShowApplicant,
    "admit": Admit,
    "await-arrival": AwaitArrival,
    "reject": Reject,
    "shuttable-doors": ShuttableDoors,
    "forget-doors": ForgetDoors,
    "suspend": Suspend,
    "reinstate": Reinstate,
    "leave": Leave,
    "rotate-keys": RotateKeys,
    "revoke-key": RevokeKey,
    "take-over": TakeOver,
    "show-takeover": ShowTakeover,
    "abandon-history": AbandonHistory,
    "approve-takeover": ApproveTakeover,
    "payout-draft": DraftPayout,
    "payout-finality": Finality,
    "payout-propose": ProposePayout,
    "payout-review": ReviewPayout,
    "payout-approve": ApprovePayout,
    "payout-hold": HoldPayout,
    "payout-dispute": DisputePayout,
    "payout-release": ReleasePayout,
    "payout-withdraw": WithdrawPayout,
    "payout-settle": SettlePayout,
    "model-used": NoteUse,
}


@cache
def _adapter(kind: type[Order]) -> TypeAdapter[Any]:
    """Return what turns an order to JSON and back; bytes travel as base64, unknown fields are refused."""
    settings = ConfigDict(extra="forbid", ser_json_bytes="base64", val_json_bytes="base64")
    return TypeAdapter(with_config(settings)(kind))  # a dataclass takes no settings from the adapter


def write_order(order: Order) -> bytes:
    """Return an order as one line.

    Raises:
        KeyError: its class is not in the table: a bug here.
    """
    names = {kind: name for name, kind in ORDERS.items()}
    kind = type(order)
    fields = _adapter(kind).dump_python(order, mode="json")
    return json.dumps({"order": names[kind], "fields": fields}).encode() + b"\n"


def read_order(line: bytes) -> Order:
    """Return the order that a line says.

    Raises:
        AgentError: it says none; names what is wrong.
    """
    try:
        told = json.loads(line)
        name, fields = told["order"], json.dumps(told["fields"])
    except (ValueError, TypeError, KeyError, RecursionError):
        raise AgentError("that is no order: expected one line of JSON with order and fields") from None
    kind = ORDERS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise AgentError(
            f"the running agent knows no order {name!r:.60}; is it of another version? Restart it"
        )
    try:
        order: Order = _adapter(kind).validate_json(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise AgentError(f"order {name}: {where}: {first['msg']}; is the agent of another version?") from None
    return order
