"""One process of a training that several processes share, wherever it was started."""

from __future__ import annotations

import os
import socket
import struct
import warnings
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist

from funnel.recipes import Member, Output
from funnel.towers.training.sharded import Options, train_sharded
from funnel.towers.training.weights import save_trained

#: Of Linux: the IPv4 address of a network interface.
_ADDRESS_OF = 0x8915


def training_in(arguments: tuple[Any, ...], options: Options, out: Output) -> Callable[[Member], None]:
    """What each process of a group does: `train_sharded`, after which process 0 saves the towers.

    arguments, options: of `train_sharded`, the same in all. out: what `save_trained` fills.
    """

    def train(member: Member) -> None:
        join(member)
        trained = train_sharded(*arguments, **options)
        if trained is not None:
            save_trained(trained, out.folder)
        dist.barrier()  # nobody leaves while others still ask
        dist.destroy_process_group()

    return train


def join(member: Member) -> None:
    """Make this process one of the group, with one core: towers do not depend on how many there are."""
    torch.set_num_threads(1)
    # Arrays that processes of a machine share cannot be written to, and nobody does.
    warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
    interface = _interface(member.host)
    if interface is not None:  # gloo would take the one that the machine's name stands for
        os.environ.setdefault("GLOO_SOCKET_IFNAME", interface)
    where = f"tcp://{member.address}"
    dist.init_process_group("gloo", init_method=where, rank=member.number, world_size=member.of)


def _interface(host: str) -> str | None:
    """The network interface with an IPv4 address; None where that cannot be told."""
    try:
        import fcntl

        wanted = socket.inet_aton(host)
    except (ImportError, OSError):
        return None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode()[:15])
            try:
                if fcntl.ioctl(any_socket.fileno(), _ADDRESS_OF, request)[20:24] == wanted:
                    return name
            except OSError:  # it has none
                continue
    return None
