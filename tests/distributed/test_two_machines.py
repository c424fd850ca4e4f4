"""One run on two machines with a torchrun each: on two loopback addresses, and in two network namespaces."""

import datetime
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest
from same import assert_same
from test_two_processes import ROOT, TINY, environment, photos, records, wait_for
from torch.distributed import TCPStore

from util.processes import session
from util.run import checkpoint

LAUNCHER = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc_per_node", "1"]
PREFIX = f"metamer{os.getpid()}"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="loopback addresses and namespaces as on Linux")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Machine(NamedTuple):
    address: str
    interface: str
    enter: tuple  # prefix of a command that runs on the machine

    def start(self, output, *words):
        """The torchrun of the machine, with the endpoint on the first machine."""
        where = {**environment(), "GLOO_SOCKET_IFNAME": self.interface}
        with open(output, "w") as file:
            command = [*self.enter, *LAUNCHER, "--local_addr", self.address, *words]
            return subprocess.Popen(command, cwd=ROOT, env=where, stdout=file, stderr=file)


def namespaces():
    """Two network namespaces with a link; None and a reason if the system does not allow them."""
    first, second = names = [f"{PREFIX}{letter}" for letter in "ab"]
    try:
        for name in names:
            ip("netns", "add", name)
        ip("link", "add", "cable", "netns", first, "type", "veth", "peer", "name", "cable", "netns", second)
        for number, name in enumerate(names, 1):
            ip("-n", name, "addr", "add", f"10.193.0.{number}/24", "dev", "cable")
            for device in ("lo", "cable"):
                ip("-n", name, "link", "set", device, "up")
    except (OSError, subprocess.CalledProcessError) as error:
        return None, str(getattr(error, "stderr", None) or error).strip()
    enter = [("ip", "netns", "exec", name) for name in names]
    return [Machine(f"10.193.0.{number}", "cable", each) for number, each in enumerate(enter, 1)], None


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


def remove_namespaces():
    for letter in "ab":
        subprocess.run(["ip", "netns", "del", f"{PREFIX}{letter}"], capture_output=True, check=False)


@pytest.fixture(scope="module", params=["loopback", "namespaces"])
def machines(request):
    if request.param == "loopback":
        yield [Machine(f"127.0.0.{number}", "lo", ()) for number in (1, 2)]
        return
    try:
        made, reason = namespaces()
        if made is None:
            pytest.skip(f"this system allows no network namespaces here: {reason}")
        yield made
    finally:
        remove_namespaces()


class Run:
    """train.py on both machines."""

    def __init__(self, machines, folder, *words, restarts=0):
        self.machines, self.folder = machines, folder
        port = free_port()
        meeting = [
            "--rdzv_backend",
            "c10d",
            "--rdzv_id",
            folder.name,
            "--rdzv_endpoint",
            f"{machines[0].address}:{port}",
        ]
        where = ["--dataroot", str(folder.parent / "photos"), "--checkpoints_dir", str(folder), "--name", "run"]
        self.outputs = [folder / f"output{number}" for number in range(2)]
        self.processes = []
        for number, (machine, output) in enumerate(zip(machines, self.outputs)):
            # The host name does not resolve to these addresses, so the host of the endpoint needs is_host.
            launcher = [*meeting, "--rdzv_conf", f"is_host={1 - number}", "--max_restarts", str(restarts)]
            program = [str(ROOT / "train.py"), *where, *TINY, "--overwrite", *words]
            self.processes.append(machine.start(output, *launcher, *program))

    def state(self):
        return checkpoint.read_state(self.folder / "run" / "latest_state.pth")

    def text(self):
        return "\n".join(output.read_text() for output in self.outputs)

    def worker(self, number):
        """The process id of train.py on a machine."""
        ends = ["ps", "-o", "pid=,args=", "--ppid", str(self.processes[number].pid)]
        lines = subprocess.run(ends, capture_output=True, text=True, check=True).stdout.splitlines()
        [pid] = [int(line.split()[0]) for line in lines if "train.py" in line]
        return pid

    def wait(self, seconds=240):
        end = time.monotonic() + seconds
        return [process.wait(max(1, end - time.monotonic())) for process in self.processes]

    def end(self):
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            process.wait(60)


@pytest.fixture
def start(machines, tmp_path):
    """Starts runs on the machines, and ends all of them after the test."""
    photos(tmp_path / "photos", 16)
    runs = []

    def begin(name, *words, **more):
        (tmp_path / name).mkdir()
        runs.append(Run(machines, tmp_path / name, *words, **more))
        return runs[-1]

    yield begin
    for run in runs:
        run.end()


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_two_machines_train_one_run_and_resume_when_a_process_dies(victim, start):
    words = ["--n_epochs", "6", "--n_epochs_decay", "0", "--save_latest_freq", "10"]
    straight = start("straight", *words)
    assert straight.wait() == [0, 0], straight.text()[-3000:]
    assert straight.text().count("2 processes x 1 images: global batch 2") == 1
    assert [point[2] for point in records(straight.folder / "run")] == list(range(2, 97, 2))

    broken = start("broken", *words, restarts=1)
    wait_for((broken.folder / "run" / "latest_state.pth").exists, broken.processes[0])
    os.kill(broken.worker(victim), signal.SIGKILL)
    assert broken.wait() == [0, 0], broken.text()[-3000:]
    assert broken.text().count("the launcher has restarted the run: it continues from the last checkpoint") == 1
    assert broken.text().count("resumed from") == 1
    assert_same(straight.state(), broken.state())
    assert records(straight.folder / "run") == records(broken.folder / "run")


@pytest.mark.slow
def test_without_restarts_both_machines_end_in_seconds(start):
    run = start("run", "--n_epochs", "100", "--save_latest_freq", "10")
    wait_for((run.folder / "run" / "latest_state.pth").exists, run.processes[0])
    victim = run.worker(1)
    os.kill(victim, signal.SIGKILL)
    killed = time.monotonic()
    assert all(code != 0 for code in run.wait(60))
    assert time.monotonic() - killed < 60
    assert f"Signal 9 (SIGKILL) received by PID {victim}" in run.text()
    assert "the connection to another process of the run is lost" in run.text()


def meet(store, monkeypatch, size=3):
    """The results of the rendezvous in three processes, after a request of a dead process in the store."""

    def one(rank):
        client = TCPStore("127.0.0.1", store.port, is_master=False, timeout=datetime.timedelta(seconds=20))
        here.place = client, rank, size
        return session._join_round()

    here = threading.local()
    module = sys.modules["torch.distributed.rendezvous"]  # torch.distributed has a function of that name
    monkeypatch.setattr(module, "rendezvous", lambda url: iter([here.place]))
    with ThreadPoolExecutor(size) as threads:
        first = threads.submit(one, 0)
        store.wait([f"reply/{store.get('request/1').decode()}"], datetime.timedelta(seconds=20))
        return [each.result() for each in (first, *(threads.submit(one, rank) for rank in range(1, size)))]


def test_processes_connect_through_a_store_with_older_keys(monkeypatch):
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    store.set("request/1", "asked by one that is dead")
    for number in (1, 2, 3):
        met = meet(store, monkeypatch)
        assert [found for found, _ in met] == [number] * 3
        assert sorted(place["rank"] for _, place in met) == [0, 1, 2]
        first, second = met[0][1]["store"], met[1][1]["store"]
        assert not first.check(["address"])  # of the round before
        second.set("address", f"round {number}")
        assert first.get("address") == f"round {number}".encode()
