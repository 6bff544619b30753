"""A network of its own with real ONVIF cameras on it, for a program to search. Run it as
`unshare -rn python3 camera_network.py [--user U --password P] [--no-camera] -- PROGRAM ARGUMENTS`.

Two network namespaces joined by a veth pair, so that nothing leaves this machine: the program's (192.0.2.1 on `node0`) and the
cameras' (`cam0`). There, at 192.0.2.2, runs PyPI's ipycam, a virtual camera by a third party with WS-Discovery, device and media
service, as it comes; and at the same address PyPI's WSDiscovery, another third party's responder, publishes four services: a
printer; a camera whose XAddr is a host on another network; a camera with no address that can be asked; and, at the real camera's
port, one with a hostile name. Ends with the program's exit status."""
import subprocess
import sys
import time


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def cameras(user, password):
    """Runs in the cameras' namespace until killed."""
    import logging

    from ipycam import CameraConfig, IPCamera
    from wsdiscovery import QName, Scope
    from wsdiscovery.publishing import ThreadedWSPublishing

    logging.disable(logging.CRITICAL)
    sys.stdin.readline()
    config = CameraConfig(name="North gate", local_ip="192.0.2.2", onvif_port=8080, username=user, password=password)
    assert IPCamera(config).start() is not None
    network = "http://www.onvif.org/ver10/network/wsdl"
    published = [
        ("http://schemas.microsoft.com/windows/2006/08/wdp/print", "PrintDeviceType", "ldap:///printer", "http://192.0.2.2:5357/print"),
        (network, "NetworkVideoTransmitter", "onvif://www.onvif.org/name/Elsewhere", "http://198.51.100.77:8080/onvif/elsewhere"),
        (network, "NetworkVideoTransmitter", "onvif://www.onvif.org/name/Nowhere", "ftp://192.0.2.2/"),
        (network, "NetworkVideoTransmitter", "onvif://www.onvif.org/name/%1B%5B2J%22%0A%20%20-%20id:%20evil", "http://192.0.2.2:8080/onvif/hostile"),
    ]
    for namespace, kind, scope, address in published:
        responder = ThreadedWSPublishing()
        responder.start()
        responder.publishService(types=[QName(namespace, kind)], scopes=[Scope(scope)], xAddrs=[address])
    time.sleep(1)
    print("ready", flush=True)
    while True:
        time.sleep(60)


def main():
    words = sys.argv[1:]
    split = words.index("--")
    given, program = words[:split], words[split + 1:]
    if given[:1] == ["--cameras"]:
        return cameras(given[1], given[2])
    user, password = (given[given.index("--user") + 1], given[given.index("--password") + 1]) if "--user" in given else ("", "")
    other = subprocess.Popen(
        ["unshare", "-n", sys.executable, __file__, "--cameras", user, password, "--"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        ip("link", "set", "lo", "up")
        while same_namespace(other.pid):
            time.sleep(0.02)
        ip("link", "add", "node0", "type", "veth", "peer", "name", "cam0", "netns", str(other.pid))
        ip("addr", "add", "192.0.2.1/24", "dev", "node0")
        ip("link", "set", "node0", "up")
        inside = ["nsenter", "-t", str(other.pid), "-n"]
        for command in ["link set lo up", "addr add 192.0.2.2/24 dev cam0", "link set cam0 up", "route add 224.0.0.0/4 dev cam0"]:
            subprocess.run([*inside, "ip", *command.split()], check=True)
        if "--no-camera" not in given:
            other.stdin.write("go\n")
            other.stdin.flush()
            if other.stdout.readline() != "ready\n":
                sys.exit("the cameras did not start: " + other.stderr.read())
        return subprocess.run(program).returncode
    finally:
        other.kill()
        other.wait()


def same_namespace(pid):
    import os

    return os.readlink(f"/proc/{pid}/ns/net") == os.readlink("/proc/self/ns/net")


if __name__ == "__main__":
    sys.exit(main())
