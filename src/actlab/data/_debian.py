"""Fashion-MNIST out of Debian's package archive, unpacked as any user into a folder of one's own; the system stays as it is."""

import os
import shutil
import subprocess
from pathlib import Path

from ._fashion import KNOWN

PACKAGE = "dataset-fashion-mnist"
INSTALLED = Path("/usr/share/datasets/fashion-mnist")
# apt reads this after the system's own configuration, so mirrors and proxies hold. Lists, cache and locks are private; hooks of
# the system (docker-clean deletes packages) are off; `_apt`, the user root steps down to, could not write to a private folder.
CONFIGURATION = """
Dir::State::lists "{work}/lists";
Dir::Cache "{work}/cache";
Dir::Log "{work}/log";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::http::Timeout "10";
Acquire::https::Timeout "10";
Acquire::Retries "1";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"""


def can_unpack() -> bool:
    """Whether this machine has what it takes to fetch and unpack a Debian package."""
    return shutil.which("apt-get") is not None and shutil.which("dpkg-deb") is not None


def unpack(work: Path, target: Path) -> None:
    """Fetch the package below `work`, which is an empty folder, and move its four files to `target`.

    Raises OSError or subprocess.SubprocessError with what the failing command said.
    """
    for folder in ("lists/partial", "cache/archives/partial", "log"):
        (work / folder).mkdir(parents=True)
    configuration = work / "apt.conf"
    configuration.write_text(CONFIGURATION.format(work=work))
    _run(["apt-get", "-q", "-c", str(configuration), "update"], work)
    _run(["apt-get", "-q", "-c", str(configuration), "download", PACKAGE], work)
    package = next(work.glob(f"{PACKAGE}_*.deb"), None)
    if package is None:
        raise FileNotFoundError(f"apt-get download left no {PACKAGE}_*.deb")
    _run(["dpkg-deb", "-x", str(package), str(work / "package")], work)
    for name in KNOWN:
        (work / "package" / INSTALLED.relative_to("/") / name).rename(target / name)


def _run(command: list[str], folder: Path) -> None:
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600
    )
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("E:")] or done.stderr.splitlines()
        raise subprocess.SubprocessError(f"{command[0]} {command[-1]}: {said[0] if said else done.returncode}")
