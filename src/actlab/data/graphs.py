"""Graphs whose nodes have classes: Zachary's karate club, or a folder as Cora comes."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from actlab._language import say
from actlab.errors import ActlabError, UnknownName, UsageError

from ._sources import read
from ._split import place_in_class, without

NAMES = ("karate",)
PER_CLASS, VALIDATION, TEST = (
    20,
    500,
    1000,
)  # the usual split of Cora: Yang, Cohen & Salakhutdinov 2016, arXiv:1603.08861


@dataclass(frozen=True, eq=False)
class GraphData:
    """One graph: every node's features and class, the edges, and which nodes are in which part."""

    name: str
    features: Tensor  # nodes inputs
    edges: Tensor  # nodes nodes, symmetric, boolean
    labels: Tensor
    classes: tuple[str, ...]
    parts: dict[str, Tensor]  # numbers of the nodes of "train", "validation", "test"
    licence: str = ""
    attribution: str = ""


def load(source: str | Path = "karate", *, seed: int = 0) -> GraphData:
    """The karate club by name, or a folder with NAME.content (node, features, class) and NAME.cites (node, node).

    Of the club the two leaders alone are known (Kipf & Welling 2017), the other 32 members are to be told. Of a folder 20 nodes of each
    class are learnt from, 500 validate and 1,000 test, or as many as there are.
    """
    if str(source) == "karate":
        return _karate()
    folder = Path(source).expanduser()
    if not folder.is_dir():
        if folder.name == str(source):
            raise UnknownName(say("graph or folder", "图或文件夹"), str(source), NAMES)
        raise UsageError(say(f"expected a folder with a graph; there is no '{source}'", f"没有图文件夹“{source}”"))
    return read(folder, lambda one: _folder(one, seed))


def _karate() -> GraphData:
    import networkx

    graph = networkx.karate_club_graph()
    classes = ("Mr. Hi", "Officer")
    labels = torch.tensor([classes.index(graph.nodes[node]["club"]) for node in graph])
    edges = torch.from_numpy(networkx.to_numpy_array(graph)) > 0
    known = torch.tensor([0, 33])
    return GraphData(
        name="karate",
        features=torch.eye(len(graph)),
        edges=edges,
        labels=labels,
        classes=classes,
        parts={"train": known, "validation": torch.arange(0), "test": without(len(graph), known)},
        licence="public domain",
        attribution="Zachary 1977, J. Anthropological Research 33(4); through networkx",
    )


def _folder(folder: Path, seed: int) -> GraphData:
    found = {kind: sorted(folder.glob(f"*.{kind}")) for kind in ("content", "cites")}
    if any(len(files) != 1 for files in found.values()):
        raise ActlabError(
            say(
                f"expected one .content and one .cites file in '{folder}'",
                f"“{folder}”中应有一个 .content 和一个 .cites 文件",
            )
        )
    rows = [line.split() for line in found["content"][0].read_text().splitlines() if line.strip()]
    if not rows or len({len(row) for row in rows}) != 1:
        raise ActlabError(
            say(f"the lines of '{found['content'][0]}' differ in length", f"“{found['content'][0]}”各行长度不同")
        )
    place = {row[0]: number for number, row in enumerate(rows)}
    classes = tuple(sorted({row[-1] for row in rows}))
    labels = torch.tensor([classes.index(row[-1]) for row in rows])
    edges = torch.zeros(len(rows), len(rows), dtype=torch.bool)
    for line in found["cites"][0].read_text().splitlines():
        ends = [place[name] for name in line.split() if name in place]
        if len(ends) == 2:
            edges[ends[0], ends[1]] = edges[ends[1], ends[0]] = True
    place, size = place_in_class(labels, seed)
    train = (place < torch.minimum(torch.tensor(PER_CLASS), size // 2).clamp(min=1)).nonzero().flatten()
    rest = without(len(rows), train)
    rest = rest[torch.randperm(len(rest), generator=torch.Generator().manual_seed(seed))]
    validation = rest[: min(VALIDATION, len(rest) // 3)]
    return GraphData(
        name=folder.name,
        features=torch.tensor([[float(one) for one in row[1:-1]] for row in rows]),
        edges=edges,
        labels=labels,
        classes=classes,
        parts={"train": train, "validation": validation, "test": rest[len(validation) :][:TEST]},
    )
