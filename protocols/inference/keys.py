"""With whom do we agree on masks, and whose key is still to come?"""

from collections.abc import Mapping

from hansa.protocols.errors import PeerError
from hansa.protocols.inference.job import Seat, mask_secret
from hansa.protocols.inference.messages import MaskKey
from hansa.protocols.machine import Effect, Send
from hansa.protocols.pairwise import check_key, public_key

Keys = dict[str, bytes]  # by peer, its public key


def announced(seat: Seat, secret: bytes) -> tuple[Effect, ...]:
    """Return our key on its way to every peer; nothing where we have none."""
    if not seat.peers:
        return ()
    message = MaskKey(seat.session, public_key(mask_secret(secret)))
    return tuple(Send(peer, message) for peer in seat.peers)


def taking(seat: Seat, keys: Mapping[str, bytes], sender: str, message: MaskKey) -> Keys:
    """Return the keys with one more.

    Raises:
        PeerError: from somebody with whom we share no masks, a second one, or no key.
    """
    if sender not in seat.peers:
        raise PeerError(f"{sender} sent a key for masks, which we have none of with it")
    if sender in keys:
        raise PeerError(f"{sender} sent its key for masks twice")
    check_key(sender, message.key)
    return {**keys, sender: message.key}


def missing(seat: Seat, keys: Mapping[str, bytes]) -> tuple[str, ...]:
    """Return the peers whose key has not come."""
    return tuple(peer for peer in seat.peers if peer not in keys)
