"""A network in user space: hosts are network namespaces, each with one TUN device, and this process passes packets between them.

Kernels without netem (containers, small virtual machines) can neither delay nor lose packets; this can, for each host by itself.
It is told what to do by lines on standard input, `delay HOST SECONDS`, `loss HOST PART`, `cut HOST`, `heal HOST`, and ends with its input.

    switch.py PREFIX HOST=ADDRESS …        addresses of one /24; says `ready` when the hosts can reach each other
"""

import ctypes
import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
CLONE_NEWNET = 0x40000000


class Host:
    def __init__(self, name, address, device):
        self.name, self.address, self.device = name, address, device
        self.delay, self.loss, self.is_cut = 0.0, 0.0, False


def enter(namespace):
    """From now on this thread makes devices there; what is open stays open."""
    with open(namespace) as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")


def plug(prefix, name, address):
    enter(f"/run/netns/{prefix}{name}")
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", b"net0", IFF_TUN | IFF_NO_PI))
    for words in (["addr", "add", f"{address}/24", "dev", "net0"], ["link", "set", "net0", "up"], ["link", "set", "lo", "up"]):
        subprocess.run(["ip", *words], check=True)
    return Host(name, address, device)


def obey(line, hosts):
    verb, name, *rest = line.split()
    host = hosts[name]
    if verb == "delay":
        host.delay = float(rest[0])
    elif verb == "loss":
        host.loss = float(rest[0])
    elif verb in ("cut", "heal"):
        host.is_cut = verb == "cut"


def main():
    prefix = sys.argv[1]
    own = os.open("/proc/self/ns/net", os.O_RDONLY)
    hosts = {}
    for word in sys.argv[2:]:
        name, address = word.split("=")
        hosts[name] = plug(prefix, name, address)
    ctypes.CDLL(None).setns(own, CLONE_NEWNET)
    by_address = {bytes(map(int, host.address.split("."))): host for host in hosts.values()}
    by_device = {host.device: host for host in hosts.values()}
    late, count, rest = [], 0, b""
    devices = list(by_device) + [0]
    print("ready", flush=True)
    while True:
        wait = max(0.0, late[0][0] - time.monotonic()) if late else None
        for device in select.select(devices, [], [], wait)[0]:
            if device == 0:
                data = os.read(0, 65536)
                if not data:
                    return
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    obey(line.decode(), hosts)
                continue
            source = by_device[device]
            for _ in range(64):
                try:
                    packet = os.read(device, 65536)
                except BlockingIOError:
                    break
                target = by_address.get(packet[16:20])
                if target is None or packet[0] >> 4 != 4 or source.is_cut or target.is_cut:
                    continue
                loss = source.loss + target.loss
                if loss > 0 and random.random() < loss:
                    continue
                delay = source.delay + target.delay
                if delay == 0:
                    send(target, packet)
                else:
                    count += 1
                    heapq.heappush(late, (time.monotonic() + delay, count, target, packet))
        now = time.monotonic()
        while late and late[0][0] <= now:
            _, _, target, packet = heapq.heappop(late)
            if not target.is_cut:
                send(target, packet)


def send(host, packet):
    try:
        os.write(host.device, packet)
    except OSError:
        pass  # a full device loses a packet, as wires do


main()
