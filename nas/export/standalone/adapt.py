"""Adapts the network of this folder to a few labelled examples of yours, and predicts others.

    from adapt import load

    predictor = load().fit(images, labels)      # a few examples of each class, and the class of each
    print(predictor.predict(more_images).labels)
    predictor.save("my_predictor")              # later: load("my_predictor").predict(images)

Examples are paths of images, Pillow images, NumPy arrays or torch tensors: a list of them, or one array of all. Images
are (height, width), (height, width, channels) or (channels, height, width), of uint8 or of floats in [0, 1]. This needs
torch and safetensors; for paths and Pillow images also Pillow. The network itself is in model.py, what makes inputs of
examples in preprocessing.py.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import runpy
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from .preprocessing import Settings, input_of, opened

FORMAT = 1
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Predictions:
    """Predictions for some examples.

    Attributes:
        classes: The classes in the order of `probabilities`; empty in regression.
        labels: The class of each example; 'unknown' where its score is below the predictor's threshold.
        probabilities: (examples, classes), the softmax of the logits; None in regression.
        scores: (examples,), the largest logit of each example; None in regression.
        values: (examples, targets), the predicted numbers of a regression; else None.
    """

    classes: tuple[str, ...]
    labels: tuple[str, ...]
    probabilities: Tensor | None
    scores: Tensor | None
    values: Tensor | None


@dataclass(frozen=True)
class Fitted:
    """What an adaptation gave.

    Attributes:
        classes: The classes, sorted; empty in regression.
        tensors: Adapted parameters by name; for prototypes and ridge the head, and the support set's 'features'.
        labels: The number of the class of each support example.
    """

    classes: tuple[str, ...]
    tensors: Mapping[str, Tensor]
    labels: Tensor


class Predictor:
    """A network with the rule that adapts it; after `fit`, a predictor. Its methods change nothing: they give new ones.

    Attributes:
        settings: The rule (adaptation.json) and the preprocessing (preprocessing.json).
        fitted: The result of `fit`, or None.
        threshold: Score below which an example is 'unknown'; None where every example gets a class.
    """

    def __init__(self, network: nn.Module, folder: Path, settings: Settings, learned: Mapping[str, Tensor]) -> None:
        self.network, self.folder, self.settings = network.eval(), folder, settings
        self.learned = {name: tensor.to(next(network.parameters())) for name, tensor in learned.items()}
        self.fitted: Fitted | None = None
        self.threshold: float | None = None
        self.read: Callable[[Any], Any] = opened  # reads what is no tensor: a path, a Pillow image, an array

    @property
    def rule(self) -> Settings:
        rule: Settings = self.settings["rule"]
        return rule

    @property
    def rebuilt(self) -> bool:
        """Whether the head has another number of outputs than it was trained with."""
        return self.fitted is not None and len(self.fitted.classes) not in (0, self.rule["outputs"])

    def fit(self, examples: Any, labels: Any) -> Predictor:
        """Adapts to a support set.

        Args:
            examples: Some examples of each class.
            labels: The class of each; in regression its numbers, (examples,) or (examples, targets).
        """
        x, labels = self.inputs(examples), list(labels)
        if len(x) != len(labels):
            raise ValueError(f"{len(x)} examples and {len(labels)} labels; give one label for each example")
        if self.rule["task"] == "regression":
            rows = [torch.as_tensor(label, dtype=x.dtype, device=x.device).reshape(-1) for label in labels]
            if len({len(row) for row in rows}) > 1 or not torch.cat(rows).isfinite().all():
                raise ValueError("the targets must be finite numbers, equally many for each example")
            targets = torch.stack(rows)
            if targets.shape[1] != self.rule["outputs"]:
                raise ValueError(f"{targets.shape[1]} numbers an example; this network has {self.rule['outputs']}")
            mean, deviation = self._target_scale()
            return self.fit_inputs(x, (), (targets - mean) / deviation)
        names = tuple(sorted({str(label) for label in labels}))
        if len(names) < 2:
            raise ValueError(f"all examples are of class {names[0]!r}; give examples of at least two classes")
        y = torch.tensor([names.index(str(label)) for label in labels], device=x.device)
        return self.fit_inputs(x, names, y)

    def fit_inputs(self, x: Tensor, classes: tuple[str, ...], y: Tensor) -> Predictor:
        """Adapts to inputs (examples, *input_shape) with class numbers, or targets as in training, y."""
        return self._with(Fitted(classes, self.adapted_to(self.represented(x), y), y))

    def predict(self, examples: Any) -> Predictions:
        """Predicts the class of each example, with probabilities; in regression its numbers."""
        return self.decided(self._needed().classes, self.outputs(self.inputs(examples)))

    def decided(self, classes: tuple[str, ...], outputs: Tensor) -> Predictions:
        """The predictions that outputs (examples, classes or targets) mean."""
        if not classes:
            return Predictions((), (), None, None, self.unscaled(outputs))
        scores, best = outputs.max(dim=1)
        known = [self.threshold is None or score >= self.threshold for score in scores.tolist()]
        labels = [classes[number] if sure else UNKNOWN for number, sure in zip(best.tolist(), known, strict=True)]
        return Predictions(classes, tuple(labels), outputs.softmax(dim=1), scores, None)

    def add(self, label: str, examples: Any) -> Predictor:
        """Adds a class, or more examples of one, to a predictor whose head is a formula of the support set."""
        fitted = self._closed_form()
        features = self.represented(self.inputs(examples))
        names = tuple(sorted({*fitted.classes, str(label)}))
        old = [names.index(fitted.classes[number]) for number in fitted.labels.tolist()]
        y = torch.tensor(old + [names.index(str(label))] * len(features), device=features.device)
        features = torch.cat([fitted.tensors["features"], features])
        return self._with(Fitted(names, self.adapted_to(features, y), y))

    def remove(self, label: str) -> Predictor:
        """Removes a class from a predictor whose head is a formula of the support set."""
        fitted = self._closed_form()
        if label not in fitted.classes:
            raise ValueError(f"there is no class {label!r}; the classes are {', '.join(fitted.classes)}")
        if len(fitted.classes) == 2:
            raise ValueError("two classes are the fewest that a predictor can have")
        kept = fitted.labels != fitted.classes.index(label)
        names = tuple(name for name in fitted.classes if name != label)
        y = torch.tensor([names.index(fitted.classes[number]) for number in fitted.labels[kept].tolist()])
        y = y.to(fitted.labels.device)
        return self._with(Fitted(names, self.adapted_to(fitted.tensors["features"][kept], y), y))

    def with_threshold(self, threshold: float | None) -> Predictor:
        """The predictor that answers 'unknown' where the score is below a threshold; None for never."""
        if threshold is not None and UNKNOWN in self._needed().classes:
            raise ValueError(f"a class is called {UNKNOWN!r}, which is the answer below a threshold; rename it")
        changed = copy.copy(self)
        changed.threshold = threshold
        return changed

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Writes the predictor to a new folder, with the files of this one, so that it stands alone."""
        fitted, target = self._needed(), Path(folder)
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise ValueError(f"{folder} exists and is not an empty folder; choose another one, or empty it")
        part = target.absolute().with_name(f".{target.name}-{uuid.uuid4().hex[:12]}")
        try:
            part.mkdir(parents=True)
            for name in FILES:
                if (self.folder / name).is_file():
                    shutil.copyfile(self.folder / name, part / name)
            tensors = {**fitted.tensors, "labels": fitted.labels}
            save_file({name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}, part / STATE)
            content = {"format": FORMAT, "classes": fitted.classes, "examples": len(fitted.labels)}
            content |= {"threshold": self.threshold, "torch": torch.__version__}
            (part / PREDICTOR).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            files = sorted(part.iterdir())
            sums = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files]
            (part / "SHA256SUMS").write_text("".join(sums), encoding="utf-8")
            part.replace(target)
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def inputs(self, examples: Any) -> Tensor:
        """Examples as inputs of the network, (examples, *input_shape) float32."""
        batched = isinstance(examples, Tensor) or (hasattr(examples, "shape") and hasattr(examples, "dtype"))
        each = list(examples) if batched or not isinstance(examples, (str, os.PathLike)) else [examples]
        if not each:
            raise ValueError("there are no examples; give at least one")
        x = torch.stack([input_of(self.read(example), self.settings["preprocessing"]) for example in each])
        x = x.to(next(self.network.parameters()))
        expected = tuple(self.rule["input_shape"])
        if tuple(x.shape[1:]) != expected:
            raise ValueError(f"an example has the shape {tuple(x.shape[1:])}; this network takes {expected}")
        if not x.isfinite().all():
            raise ValueError("an example has numbers that are not finite")
        return x

    def outputs(self, x: Tensor) -> Tensor:
        """Logits (examples, classes), or scaled targets, for inputs (examples, *input_shape)."""
        fitted = self._needed()
        with torch.no_grad():
            return self.outputs_of(self.represented(x), fitted.tensors, len(fitted.classes))

    def steps(self, x: Tensor, y: Tensor, ways: int) -> Iterator[Mapping[str, Tensor]]:
        """Adapted parameters after 0, 1, …, k inner steps on inputs x and labels (or scaled targets) y."""
        if self.rule["method"] != "gradient":
            yield self._head(ways)
            yield self._formula(self.represented(x), y, ways)
        else:
            yield from self._descent(self.represented(x), y, ways)

    # --- the inner loop ---

    def adapted_to(self, represented: Tensor, y: Tensor) -> Mapping[str, Tensor]:
        ways = int(y.max()) + 1 if y.dim() == 1 else 0
        if self.rule["method"] != "gradient":
            return self._formula(represented, y, ways)
        *_, last = self._descent(represented, y, ways)
        if not all(tensor.isfinite().all() for tensor in last.values()):
            raise ValueError("the adaptation gave numbers that are not finite; are the examples as in training?")
        return last

    def _descent(self, represented: Tensor, y: Tensor, ways: int) -> Iterator[Mapping[str, Tensor]]:
        """Gradient descent on the support set: SGD, or Adam without momentum."""
        rule, moving = self.rule, self._start(ways)
        squares = {name: self._resized("square", name, ways) for name in moving}
        rates = {name: self._resized("rate", name, ways) for name in moving}
        taken = float(self.learned.get("taken", torch.zeros(())))
        yield moving
        for _ in range(rule["steps"]):
            leaves = {name: p.detach().requires_grad_() for name, p in moving.items()}
            with torch.enable_grad():
                outputs = self.outputs_of(represented, leaves, ways)
                loss = F.cross_entropy(outputs, y) if y.dim() == 1 else F.mse_loss(outputs, y)
                loss = loss * y.numel() if rule["reduction"] == "sum" else loss
                gradients = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)
            taken, moved = taken + 1, {}
            for (name, p), gradient in zip(moving.items(), gradients, strict=True):
                if rule["optimizer"] == "adam":
                    before = squares[name]
                    square = 0.001 * gradient**2 + (0 if before is None else 0.999 * before)
                    squares[name] = square
                    gradient = gradient / ((square / (1 - 0.999**taken)).clamp(min=1e-30).sqrt() + 1e-8)
                rate = rates[name]
                moved[name] = p.detach() - (rule["rate"] if rate is None else rate) * gradient
            moving = moved
            yield moving

    def _formula(self, features: Tensor, y: Tensor, ways: int) -> Mapping[str, Tensor]:
        """The head as a formula of the support set's features: class means, or ridge regression."""
        if self.rule["method"] == "prototypes":
            member = F.one_hot(y, ways).to(features.dtype)
            return {"features": features, "prototypes": member.T @ features / member.sum(dim=0)[:, None]}
        x = torch.cat([features, torch.ones_like(features[:, :1])], dim=1)
        targets = F.one_hot(y, ways).to(x.dtype) if y.dim() == 1 else y
        gram = x @ x.T
        solution = torch.linalg.solve(gram + self.learned["log_lambda"].exp() * torch.eye(len(x)).to(x), targets.to(x))
        weight, bias = (x.T @ solution).T.split([features.shape[1], 1], dim=1)
        if y.dim() == 1:
            weight, bias = self.learned["scale"] * weight, self.learned["scale"] * bias + self.learned["shift"]
        return {"features": features, "weight": weight.contiguous(), "bias": bias[:, 0].contiguous()}

    def outputs_of(self, represented: Tensor, adapted: Mapping[str, Tensor], ways: int) -> Tensor:
        if "prototypes" in adapted:
            distances = (represented[:, None] - adapted["prototypes"]).square().sum(dim=2)
            return -distances / (self.rule["temperature"] or represented.shape[1])
        if self.rule["head_only"]:
            head = self.rule["head"]
            names = ("weight", "bias") if "features" in adapted else (f"{head}.weight", f"{head}.bias")
            return F.linear(represented, adapted[names[0]], adapted.get(names[1]))
        outputs: Tensor = torch.func.functional_call(self.network, dict(adapted), (represented,))
        return outputs[:, :ways] if ways else outputs

    def represented(self, x: Tensor) -> Tensor:
        """The input of the head for each example, where the head alone is adapted; else the examples."""
        if not self.rule["head_only"]:
            return x
        inputs: list[Tensor] = []
        hook = self.network.get_submodule(self.rule["head"]).register_forward_pre_hook(
            lambda _, arguments: inputs.append(arguments[0])
        )
        try:
            with torch.no_grad():
                self.network(x)
        finally:
            hook.remove()
        return inputs[0]

    def _start(self, ways: int) -> dict[str, Tensor]:
        """The parameters that the inner steps change, before the first of them."""
        if self.rule["head_only"]:
            return dict(self._head(ways))
        parameters = dict(self.network.named_parameters())
        return {name: self._rows(name, parameters[name].detach(), ways) for name in self.rule["adapts"]}

    def _head(self, ways: int) -> Mapping[str, Tensor]:
        prefix = f"{self.rule['head']}."
        parameters = {name: p.detach() for name, p in self.network.named_parameters() if name.startswith(prefix)}
        zero = self.rule.get("head_start") == "zero"
        return {name: self._rows(name, p * 0 if zero else p, ways) for name, p in parameters.items()}

    def _resized(self, what: str, name: str, ways: int) -> Tensor | None:
        tensor = self.learned.get(f"{what}/{name}")
        return None if tensor is None else self._rows(name, tensor, ways)

    def _rows(self, name: str, tensor: Tensor, ways: int) -> Tensor:
        """A tensor of a head for another number of classes: each row is then the mean of the trained rows."""
        head, outputs = self.rule["head"], self.rule["outputs"]
        if ways in (0, outputs) or (head is not None and not name.startswith(f"{head}.")):
            return tensor
        if head is None:
            if ways > outputs:
                raise ValueError(f"{ways} classes; this network can have at most {outputs}")
            return tensor
        return tensor.mean(dim=0, keepdim=True).expand(ways, *tensor.shape[1:]).contiguous()

    # --- helpers ---

    def _with(self, fitted: Fitted) -> Predictor:
        changed = copy.copy(self)
        changed.fitted = fitted
        return changed

    def _needed(self) -> Fitted:
        if self.fitted is None:
            raise ValueError("the network is not adapted yet; call fit(examples, labels) first")
        return self.fitted

    def _closed_form(self) -> Fitted:
        fitted = self._needed()
        if "features" not in fitted.tensors or not fitted.classes:
            raise ValueError("the head of this network is learned by gradient steps; call fit with all examples again")
        if self.rule["batch_statistics"]:
            raise ValueError("this network normalises by the whole batch; call fit with all examples again")
        return fitted

    def unscaled(self, outputs: Tensor) -> Tensor:
        """Outputs of a regression in the units of its targets."""
        mean, deviation = self._target_scale()
        return outputs * deviation + mean

    def _target_scale(self) -> tuple[Tensor, Tensor]:
        preprocessing = self.settings["preprocessing"] or {}
        mean, deviation = preprocessing.get("target_mean") or [0.0], preprocessing.get("target_deviation") or [1.0]
        like = next(self.network.parameters())
        return torch.tensor(mean).to(like), torch.tensor(deviation).to(like)


PREDICTOR, STATE = "predictor.json", "predictor.safetensors"
RULE, LEARNED, PREPROCESSING, WEIGHTS = (
    "adaptation.json",
    "adaptation.safetensors",
    "preprocessing.json",
    "weights.safetensors",
)
FILES = (
    *("adapt.py", "preprocessing.py", "model.py", "architecture.json", "network.json", "card.md"),
    *(RULE, LEARNED, PREPROCESSING, WEIGHTS, "learner.safetensors"),
)


def load(folder: str | os.PathLike[str] = Path(__file__).parent, network: nn.Module | None = None) -> Predictor:
    """Reads an export, or a folder that `Predictor.save` wrote.

    Args:
        folder: The folder; by default the one of this file.
        network: The network with its weights; by default that of model.py, which is imported from the folder.
    """
    folder = Path(folder)
    settings = {"rule": _json(folder / RULE), "preprocessing": None}
    if (folder / PREPROCESSING).is_file():
        settings["preprocessing"] = _json(folder / PREPROCESSING)
    learned = load_file(folder / LEARNED) if (folder / LEARNED).is_file() else {}
    predictor = Predictor(_network(folder) if network is None else network, folder, settings, learned)
    if (folder / PREDICTOR).is_file():
        content, tensors = _json(folder / PREDICTOR), load_file(folder / STATE)
        labels = tensors.pop("labels")
        predictor.fitted = Fitted(tuple(content["classes"]), tensors, labels)
        predictor.threshold = content["threshold"]
    return predictor


def _json(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content


def _network(folder: Path) -> nn.Module:
    network: nn.Module = runpy.run_path(str(folder / "model.py"))["Network"]()
    network.load_state_dict(load_file(folder / WEIGHTS))
    return network
