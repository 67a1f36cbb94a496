"""The classes of a graph's nodes, a few of which are known."""

import json
from pathlib import Path
from typing import Any

import torch

from .._language import say
from ..data.graphs import GraphData, load
from ..errors import UsageError
from ..records import DataFacts
from ..train.parts import Parts, TensorPart
from . import made_of

_FILE = "graph.json"


class Nodes:
    """The task; its loss is cross-entropy in nats per node. The graph itself is read again when a run is opened."""

    loss = None

    def __init__(self, data: GraphData, source: str, seed: int):
        self.data, self._source, self._seed = data, source, seed

    @classmethod
    def open(cls, source: str, seed: int) -> "Nodes":
        """From a graph by name or folder."""
        return cls(load(source, seed=seed), source, seed)

    @classmethod
    def reopen(cls, directory: Path) -> "Nodes":
        """From a run directory: the same graph."""
        return made_of(directory, _FILE, lambda found: cls.open(**found))

    def take(self, other: "Nodes") -> None:
        """A network of this kind knows one graph."""
        same = other.data.classes == self.data.classes and all(
            torch.equal(getattr(other.data, name), getattr(self.data, name)) for name in ("features", "edges", "labels")
        )
        if not same:
            raise UsageError(
                say(f"this network knows the graph '{self.data.name}' alone", f"此网络只认识图“{self.data.name}”")
            )

    def files(self) -> dict[str, str]:
        """Where the graph comes from."""
        return {_FILE: json.dumps({"source": self._source, "seed": self._seed}) + "\n"}

    def offered(self, model: str) -> dict[str, Any]:
        """The graph."""
        return {"features": self.data.features, "edges": self.data.edges, "classes": len(self.data.classes)}

    def parts(self) -> Parts:
        """Nodes by their numbers."""
        made = {name: TensorPart(rows, self.data.labels[rows]) for name, rows in self.data.parts.items()}
        facts = DataFacts(
            name=self.data.name,
            classes=self.data.classes,
            sizes={name: len(part) for name, part in made.items()},
            licence=self.data.licence,
            attribution=self.data.attribution,
        )
        return Parts(made["train"], made["validation"] if len(made["validation"]) else None, made["test"], facts=facts)

    def tell(self, model: Any, node: str, top: int) -> dict[str, Any]:
        """{"node", "classes": {name: probability}} of a node by its number."""
        count = len(self.data.labels)
        if not node.isdecimal() or int(node) >= count:
            raise UsageError(
                say(
                    f"expected the number of a node, 0 to {count - 1}; got '{node}'",
                    f"需要节点编号 0 到 {count - 1}；得到“{node}”",
                )
            )
        with torch.no_grad():
            best = model(torch.tensor([int(node)]))[0].softmax(0).topk(min(top, len(self.data.classes)))
        named = {self.data.classes[i]: p for i, p in zip(best.indices.tolist(), best.values.tolist(), strict=True)}
        return {"node": node, "classes": named}
