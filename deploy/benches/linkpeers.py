"""The contenders of deploy/bench link: how each is set up, started, and asked what it has brought. See link.py for the settings."""
import contextlib
import getpass
import glob
import hashlib
import json
import os
import re
import shutil
import sqlite3

import linklib
from linklib import HUB_IP, output, program

SSH_PORT, WEBDAV_PORT, SYNCTHING_PORT, NNCP_PORT = 2222, 8080, 22000, 5400


def sha256_of(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def equal_bytes(path, source, piece=4096):
    """How many bytes at `path` are the source's at the same offset, in whole pieces or a shorter last one."""
    count = 0
    with contextlib.suppress(OSError), open(path, "rb") as one, open(source, "rb") as other:
        while mine := one.read(piece):
            if mine == other.read(piece)[: len(mine)] and any(mine):
                count += len(mine)
    return count


class Contender:
    """One that copies a folder to a folder. `edge` is started again half a second after it ends."""

    name, tools, port = "", (), 0

    def __init__(self, rig, footage, scenario):
        self.rig, self.footage, self.scenario = rig, footage, scenario
        self.source, self.target = (os.path.join(rig.directory, name) for name in ("source", "target"))
        self.pending, self.looked_at, self.whole_bytes = {segment.name: segment for segment in footage.segments}, {}, 0
        # With outages who gives up soon dials again soon. What lies in the socket's buffer must have time to leave at 40 kbit/s.
        self.stall_s = 60 if not scenario.down_s else 5 if scenario.kbit >= 500 else 10
        # Some six round trips until SSH has keys.
        self.connect_s = 30 if not scenario.down_s else round(3 + 6 * scenario.rtt_ms / 1000)

    @classmethod
    def missing(cls):
        """Why it cannot take part; None if it can."""
        absent = [tool for tool in cls.tools if not shutil.which(tool)]
        return f"{', '.join(absent)} is not installed" if absent else None

    def prepare(self):
        os.mkdir(self.target)
        shutil.copytree(self.footage.files, self.source, copy_function=os.link)

    def has_some(self):
        """Whether any footage has arrived."""
        return any(os.stat(path).st_blocks for path in glob.glob(f"{self.target}/**/*", recursive=True, include_hidden=True) if os.path.isfile(path))

    def poll(self):
        """Looks at what changed. True when every segment has arrived whole: its SHA-256 is right."""
        for segment in list(self.pending.values()):
            with contextlib.suppress(OSError):
                path = os.path.join(self.target, segment.name)
                state = os.stat(path)
                if state.st_size != segment.bytes or self.looked_at.get(path) == state.st_ctime_ns:
                    continue
                self.looked_at[path] = state.st_ctime_ns
                if sha256_of(path) == segment.sha256:
                    del self.pending[segment.name]
                    self.whole_bytes += segment.bytes
        return not self.pending

    def partial_paths(self, segment):
        return [os.path.join(self.target, segment.name)]

    def arrived(self):
        """Bytes of whole segments, and of others what lies there and is right."""
        self.poll()
        partial = 0
        for segment in self.pending.values():
            source = os.path.join(self.footage.files, segment.name)
            partial += max([equal_bytes(path, source) for path in self.partial_paths(segment)], default=0)
        return self.whole_bytes, partial


class Fieldpost(Contender):
    name, port = "fieldpost", linklib.NODES_PORT

    @classmethod
    def missing(cls):
        absent = [name for name in ("fieldpost-edge", "fieldpost-hub") if not os.access(program(name), os.X_OK)]
        return f"{', '.join(absent)} is not built" if absent else None

    def prepare(self):
        self.config, self.hub_folder = self.footage.copy_node(self.rig.directory)
        self.by_hash = {segment.sha256: segment for segment in self.footage.segments}

    def hub(self):
        return [program("fieldpost-hub"), "serve", "--data", self.hub_folder]

    def edge(self):
        return [program("fieldpost-edge"), "run", "--config", self.config]

    def held(self):
        """What the hub's own catalogue says it holds, by hash."""
        with contextlib.closing(sqlite3.connect(f"file:{self.hub_folder}/catalogue.sqlite?mode=ro", uri=True, timeout=10)) as catalogue:
            return [row[0] for row in catalogue.execute("SELECT DISTINCT sha256 FROM segments WHERE held = 1")]

    def has_some(self):
        return bool(self.held()) or any(os.path.getsize(path) for path in glob.glob(f"{self.hub_folder}/partials/*"))

    def poll(self):
        """The catalogue's word is not enough: the blob is hashed too."""
        for sha256 in self.held():
            segment = self.by_hash.get(sha256)
            if segment is None or segment.name not in self.pending:
                continue
            blob = os.path.join(self.hub_folder, "blobs", sha256[:2], sha256)
            if sha256_of(blob) != sha256:
                raise RuntimeError(f"the hub says that it holds {segment.name}, and its blob is another")
            del self.pending[segment.name]
            self.whole_bytes += segment.bytes
        return not self.pending

    def partial_paths(self, segment):
        return glob.glob(f"{self.hub_folder}/partials/*.{segment.sha256}")

    def log_files(self):
        """The log's lines at the node and at the hub."""
        return {side: f"{self.rig.directory}/{side}/log*/**/entries-*.jsonl" for side in ("node", "hub")}


class OverSSH(Contender):
    port = SSH_PORT

    def prepare(self):
        super().prepare()
        os.makedirs("/run/sshd", exist_ok=True)
        work = self.rig.directory
        for key in ("host", "user"):
            output("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{work}/{key}_key")
        with open(f"{work}/sshd.conf", "w") as file:
            file.write(
                f"Port {self.port}\nListenAddress 0.0.0.0\nHostKey {work}/host_key\nPidFile none\nUsePAM no\nStrictModes no\nUseDNS no\n"
                f"AuthorizedKeysFile {work}/user_key.pub\nPermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\nMaxStartups 100\n"
                "ClientAliveInterval 15\nClientAliveCountMax 4\n")

    def hub(self):
        return ["/usr/sbin/sshd", "-D", "-e", "-f", f"{self.rig.directory}/sshd.conf"]


class Rsync(OverSSH):
    name, tools = "rsync", ("rsync", "ssh", "/usr/sbin/sshd")

    def edge(self):
        work = self.rig.directory
        ssh = f"ssh -F none -p {self.port} -i {work}/user_key -c aes128-gcm@openssh.com -o KexAlgorithms=curve25519-sha256 -o BatchMode=yes"
        ssh += f" -o PreferredAuthentications=publickey -o Compression=no -o ConnectTimeout={self.connect_s} -o LogLevel=ERROR"
        ssh += " -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o ServerAliveInterval=15 -o ServerAliveCountMax=4"
        return ["rsync", "-a", "--partial", "--append-verify", f"--timeout={self.stall_s}", "-e", ssh,
                f"{self.source}/", f"{getpass.getuser()}@{HUB_IP}:{self.target}/"]


class Rclone(OverSSH):
    name, tools = "rclone", ("rclone", "ssh-keygen", "/usr/sbin/sshd")

    def remote(self):
        account = f"host={HUB_IP},port={self.port},user={getpass.getuser()},key_file={self.rig.directory}/user_key"
        return f":sftp,{account},shell_type=none,disable_hashcheck=true,set_modtime=false:{self.target}"

    def edge(self):
        return ["rclone", "copy", "--config", "", "--transfers", 4, "--checkers", 4, "--size-only", "--retries", 999, "--retries-sleep", "1s",
                "--low-level-retries", 10, "--contimeout", f"{self.connect_s}s", "--timeout", f"{self.stall_s}s", self.source, self.remote()]


class RcloneWebDAV(Rclone):
    """Neither encrypted nor authenticated: one round trip until the first request."""

    name, tools, port = "rclonedav", ("rclone",), WEBDAV_PORT
    prepare = Contender.prepare

    def hub(self):
        return ["rclone", "serve", "webdav", "--config", "", "--addr", f"0.0.0.0:{self.port}", self.target]

    def remote(self):
        return f':webdav,url="http://{HUB_IP}:{self.port}",vendor=other:'


class Syncthing(Contender):
    name, tools, port = "syncthing", ("syncthing",), SYNCTHING_PORT

    def prepare(self):
        super().prepare()
        work = self.rig.directory
        homes = {side: f"--home={work}/{side}-home" for side in ("edge", "hub")}
        for home in homes.values():
            output("syncthing", "generate", "--no-default-folder", "--skip-port-probing", home)
        identities = {side: output("syncthing", home, "--device-id").strip() for side, home in homes.items()}
        off = "".join(f"<{name}>false</{name}>" for name in (
            "globalAnnounceEnabled", "localAnnounceEnabled", "relaysEnabled", "natEnabled", "startBrowser", "crashReportingEnabled"))
        for side, path, kind, listen in (("edge", self.source, "sendonly", "127.0.0.1"), ("hub", self.target, "receiveonly", "0.0.0.0")):
            os.mkdir(f"{path}/.stfolder")
            with open(f"{work}/{side}-home/config.xml", "w") as file:
                file.write(
                    f'<configuration version="35"><folder id="bench" path="{path}" type="{kind}" rescanIntervalS="3600" fsWatcherEnabled="true">'
                    f'<device id="{identities["edge"]}"/><device id="{identities["hub"]}"/></folder>'
                    f'<device id="{identities["edge"]}" compression="never"><address>dynamic</address></device>'
                    f'<device id="{identities["hub"]}" compression="never"><address>tcp://{HUB_IP}:{self.port}</address></device>'
                    '<gui enabled="false"/>'
                    f'<options><listenAddress>tcp://{listen}:{self.port}</listenAddress>{off}<reconnectionIntervalS>5</reconnectionIntervalS>'
                    '<urAccepted>-1</urAccepted><autoUpgradeIntervalH>0</autoUpgradeIntervalH></options></configuration>')

    def has_some(self):
        return any(os.stat(path).st_blocks for path in glob.glob(f"{self.target}/*mp4*", include_hidden=True))

    def hub(self, side="hub"):
        return ["syncthing", "serve", f"--home={self.rig.directory}/{side}-home", "--no-browser", "--no-restart"]

    def edge(self):
        return self.hub("edge")

    def partial_paths(self, segment):
        return [f"{self.target}/.syncthing.{segment.name}.tmp"]


class Nncp(Contender):
    """One packet per file and no -chunked: the protocol resumes a packet in the middle, so chunks would only add overhead."""

    name, tools, port = "nncp", ("nncp-call", "nncp-daemon", "nncp-file", "nncp-cfgnew", "nncp-toss"), NNCP_PORT

    def prepare(self):
        super().prepare()
        work = self.rig.directory
        made = {side: output("nncp-cfgnew", "-nocomments").split("neigh:")[0] for side in ("edge", "hub")}
        keys = {side: dict(re.findall(r"(\w+): (\w{40,})", made[side])) for side in made}
        public = {side: {name: key for name, key in keys[side].items() if not name.endswith("prv")} for side in made}
        for side in made:
            neighbours = {"self": public[side], "edge": public["edge"] | {"incoming": self.target},
                          "hub": public["hub"] | {"addrs": {"link": f"{HUB_IP}:{self.port}"}}}
            del neighbours[side]
            os.mkdir(f"{work}/{side}-spool")
            with open(f"{work}/{side}.hjson", "w") as file:
                json.dump({"spool": f"{work}/{side}-spool", "log": f"{work}/nncp.log", "self": keys[side], "neigh": neighbours}, file)
        for segment in self.footage.segments:
            output("nncp-file", "-cfg", f"{work}/edge.hjson", "-quiet", "-noprogress", f"{self.source}/{segment.name}", f"hub:{segment.name}")

    def hub(self):
        return ["nncp-daemon", "-cfg", f"{self.rig.directory}/hub.hjson", "-bind", f"0.0.0.0:{self.port}", "-autotoss", "-quiet", "-noprogress"]

    def edge(self):
        return ["nncp-call", "-cfg", f"{self.rig.directory}/edge.hjson", "-quiet", "-noprogress", "-onlinedeadline", 10 if self.scenario.down_s else 60, "hub"]

    def has_some(self):
        return super().has_some() or any(os.path.getsize(path) for path in self.spooled())

    def spooled(self):
        return glob.glob(f"{self.rig.directory}/hub-spool/*/rx/*.part")

    def arrived(self):
        """Its packets are encrypted: what lies there of one is counted without being compared, in its favour."""
        output("nncp-toss", "-cfg", f"{self.rig.directory}/hub.hjson", "-quiet", "-noprogress", check=False)
        whole, _ = super().arrived()
        return whole, sum(os.path.getsize(path) for path in self.spooled())


CONTENDERS = {kind.name: kind for kind in (Fieldpost, Rsync, Rclone, RcloneWebDAV, Syncthing, Nncp)}
