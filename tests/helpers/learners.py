"""Slow reference implementations of the learners: one task at a time, torch.autograd.grad, no torch.func.

All take and give parameters by name, the learner's own among them under 'learner:' and their name.
"""

from __future__ import annotations

import copy

import torch
from helpers.evaluators import weights_of, with_weights
from torch import nn

from nas.evaluators.networks.normalisation import SupportNorm
from nas.protocols import CARRIED, LEARNER

# What the papers and their authors' code say of each method, in their own terms: rates on sums, where they take sums.
PRESETS = {
    "maml-sinusoid": {"inner_lr": 0.01, "train_steps": 1, "steps": 10, "outer_lr": 0.001, "order": 2},
    "maml-omniglot-5way": {"inner_lr": 5 * 0.4, "train_steps": 1, "steps": 10, "outer_lr": 0.001, "order": 2},
    "maml-omniglot-20way": {"inner_lr": 20 * 0.1, "train_steps": 5, "steps": 10, "outer_lr": 0.001, "order": 2},
    "reptile-omniglot-5way": {"inner_lr": 0.00044, "train_steps": 12, "batch": 5, "steps": 86, "outer_lr": 1},
    "reptile-omniglot-5way-transductive": {"inner_lr": 0.001, "train_steps": 3, "batch": 25, "steps": 5, "outer_lr": 1},
    "reptile-omniglot-20way": {"inner_lr": 0.00046, "train_steps": 12, "batch": 15, "steps": 97, "outer_lr": 1},
}


def same(fast, slow):
    return torch.allclose(fast, slow, rtol=1e-7, atol=1e-10)


class Recorded(nn.Module):
    """Normalises its first inputs by their own statistics, and later ones by those of the first."""

    def __init__(self, eps):
        super().__init__()
        self.eps, self.seen = eps, None

    def forward(self, x):
        channels = x.transpose(0, 1).flatten(1)
        if self.seen is None:
            self.seen = [(row.mean(), row.var(correction=0)) for row in channels]
        rows = [(row - m) / (v + self.eps) ** 0.5 for row, (m, v) in zip(channels, self.seen, strict=True)]
        return torch.stack(rows).unflatten(1, (len(x), *x.shape[2:])).transpose(0, 1)


def met(network, weights, support):
    """The network with these weights; where it normalises by the support set, it has seen that."""
    network = with_weights(network, weights)
    layers = [(name, layer) for name, layer in network.named_modules() if isinstance(layer, SupportNorm)]
    for name, layer in layers:
        network.set_submodule(name, Recorded(layer.eps))
    if layers:
        network(support)
    return network


def tasks_of(batch):
    """Each task's support inputs and targets, query inputs and targets."""
    return zip(batch.support_x, batch.support_y, batch.query_x, batch.query_y, strict=True)


def slow_predictions(learner, network, weights, batch, steps):
    """(steps + 1, tasks, queries, outputs)"""
    curves = [curve_of(learner, network, weights, task, steps).detach() for task in tasks_of(batch)]
    return torch.stack(curves, dim=1)


def slow_curve(learner, network, weights, batch, steps):
    """Of a batch of one task: (steps + 1, queries, outputs)."""
    return slow_predictions(learner, network, weights, batch, steps)[:, 0]


def slow_meta_gradient(learner, network, weights, batch):
    """The outer loss and its gradient by name."""
    if learner.name == "reptile":
        return slow_reptile(learner, network, weights, batch)
    if learner.name == "scratch":
        return torch.tensor(0.0, dtype=torch.float64), {name: torch.zeros_like(w) for name, w in weights.items()}
    leaves = {name: w.clone().requires_grad_() for name, w in weights.items()}
    if learner.name == "finetune":
        loss = slow_pretraining(network, leaves, batch)
    else:
        losses = []
        for task in tasks_of(batch):
            curve = curve_of(
                learner,
                network,
                leaves,
                task,
                getattr(learner, "train_steps", 0) or learner.steps,
                order=getattr(learner, "order", 2),
            )
            losses.append(slow_loss(curve[-1], task[3]))
        loss = sum(losses) / len(losses)
    found = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    gradients = {n: torch.zeros_like(w) if g is None else g for (n, w), g in zip(leaves.items(), found, strict=True)}
    return loss.detach(), gradients


def slow_loss(outputs, targets):
    if targets.is_floating_point():
        return ((outputs - targets) ** 2).sum() / targets.numel()
    logs = outputs - outputs.logsumexp(dim=1, keepdim=True)
    return -sum(logs[i, c] for i, c in enumerate(targets.tolist())) / len(targets)


def curve_of(learner, network, weights, task, steps, order=2):
    """Predictions for the queries of one task after 0, 1, …, `steps` steps, through which gradients flow."""
    sx, sy, qx, _ = task
    if learner.name in ("protonet", "ridge"):
        return closed_form(learner, network, weights, task, steps)
    if learner.name == "reptile":
        path, _, _ = slow_training(learner, network, weights, [(sx, sy)] * steps)
        return torch.stack([met(network, w, sx)(qx) for w in path])
    weights = {name: w if w.requires_grad else w.clone().requires_grad_() for name, w in weights.items()}
    if learner.name == "finetune" and not sy.is_floating_point():
        head = {name: torch.zeros_like(weights[name]).requires_grad_() for name in head_names(network, weights)}
        weights = {**weights, **head}
    rates = {name: rate_of(learner, name, weights) for name in adapted_by(learner, network, weights, sy)}
    options = {name: getattr(learner, name, default) for name, default in PLAIN.items()}
    path = slow_descent(network, weights, sx, sy, rates=rates, steps=steps, order=order, **options)
    return torch.stack([met(network, w, sx)(qx) for w in path])


PLAIN = {"inner_optimizer": "sgd", "reduction": "mean"}


def slow_descent(network, weights, x, y, *, rates, steps, order=2, inner_optimizer="sgd", reduction="mean"):
    """The weights before and after each step of gradient descent, or of Adam with β1 = 0, on those that have a rate."""
    path, gradients = [weights], {name: [] for name in rates}
    for _ in range(steps):
        loss = slow_loss(with_weights(network, path[-1])(x), y) * (y.numel() if reduction == "sum" else 1)
        adapted = [path[-1][name] for name in rates]
        found = torch.autograd.grad(loss, adapted, create_graph=order == 2, allow_unused=True)
        moves = {}
        for name, gradient in zip(rates, found, strict=True):
            if gradient is not None:
                gradients[name].append(gradient)
                moves[name] = gradient if inner_optimizer == "sgd" else adam_of(gradients[name])
        path.append({**path[-1], **{name: path[-1][name] - rates[name] * move for name, move in moves.items()}})
    return path


def adam_of(gradients):
    """What Adam with β1 = 0, β2 = 0.999 makes of all gradients so far (Kingma & Ba, section 3: the sum written out)."""
    steps = len(gradients)
    mean = sum(0.001 * 0.999 ** (steps - 1 - i) * g**2 for i, g in enumerate(gradients)) / (1 - 0.999**steps)
    return gradients[-1] / ((mean + 1e-300) ** 0.5 + 1e-8)


def own_names(weights):
    return [name for name in weights if not name.startswith(LEARNER)]


def head_names(network, weights):
    """Those of the network's last linear layer, which all networks here compute last."""
    last = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)][-1]
    return [name for name in (f"{last}.weight", f"{last}.bias") if name in weights]


def adapted_by(learner, network, weights, y):
    head = learner.name == "anil" or (learner.name == "finetune" and not y.is_floating_point())
    return head_names(network, weights) if head or getattr(learner, "adapted", "") == "head" else own_names(weights)


def rate_of(learner, name, weights):
    if learner.name == "meta-sgd":
        return weights[LEARNER + name.replace(".", "/")]
    if getattr(learner, "learn_lr", False):
        return weights[LEARNER + "log_rate"].exp()
    return learner.inner_lr


# --- features --------------------------------------------------------------------------------------------------------


def slow_features(network, x):
    """What goes into the last linear layer."""
    seen = []
    last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
    handle = last.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    network(x)
    handle.remove()
    return seen[0]


def closed_form(learner, network, weights, task, steps):
    sx, sy, qx, _ = task
    network = met(network, weights, sx)
    support, queries, before = slow_features(network, sx), slow_features(network, qx), network(qx)
    solve = slow_prototypes if learner.name == "protonet" else slow_ridge
    after = solve(learner, weights, support, sy, queries)
    return torch.stack([before] + [after] * steps)


def slow_prototypes(learner, weights, support, y, queries):
    """Minus the squared distance of each query from the mean of each class, one number at a time."""
    classes = sorted(set(y.tolist()))
    means = [torch.stack([f for f, c in zip(support, y.tolist(), strict=True) if c == way]).mean(0) for way in classes]
    divisor = learner.temperature if learner.temperature > 0 else support.shape[1]
    return torch.stack([torch.stack([-((q - mean) @ (q - mean)) / divisor for mean in means]) for q in queries])


def slow_ridge(learner, weights, support, y, queries):
    """The normal equations in the primal, with as many unknowns as features; the learner solves the dual."""
    penalty = weights[LEARNER + "log_lambda"].exp()
    x = torch.cat([support, torch.ones(len(support), 1, dtype=support.dtype)], dim=1)
    targets = y if y.is_floating_point() else torch.eye(int(y.max()) + 1, dtype=support.dtype)[y]
    solution = torch.linalg.inv(x.T @ x + penalty * torch.eye(x.shape[1], dtype=x.dtype)) @ (x.T @ targets)
    predicted = torch.cat([queries, torch.ones(len(queries), 1, dtype=support.dtype)], dim=1) @ solution
    if y.is_floating_point():
        return predicted
    return weights[LEARNER + "scale"] * predicted + weights[LEARNER + "shift"]


def slow_pretraining(network, weights, batch):
    """Cross-entropy over all training classes of every example, or the squared error of every point of every task."""
    if batch.query_y.is_floating_point():
        x = torch.cat([part for sx, _, qx, _ in tasks_of(batch) for part in (sx, qx)])
        y = torch.cat([part for _, sy, _, qy in tasks_of(batch) for part in (sy, qy)])
        return slow_loss(with_weights(network, weights)(x), y)
    matrix, losses = weights[LEARNER + "classifier"], []
    for (sx, sy, qx, qy), classes in zip(tasks_of(batch), batch.classes.tolist(), strict=True):
        for x, y in ((sx, sy), (qx, qy)):
            logits = slow_features(met(network, weights, sx), x) @ matrix[:, :-1].T + matrix[:, -1]
            truth = [classes[label] for label in y.tolist()]
            losses += list(nn.functional.cross_entropy(logits, torch.tensor(truth), reduction="none"))
    return sum(losses) / len(losses)


# --- Reptile ---------------------------------------------------------------------------------------------------------


def slow_training(learner, network, weights, batches):
    """The weights before and after each step of torch's own optimizer on one batch, the mean losses before, and what
    the learner carries on: where it keeps Adam's state, the optimizer is at that of `weights` before the first."""
    network = with_weights(copy.deepcopy(network), {})
    network.load_state_dict(weights, strict=False)
    names = [name for name in weights if not name.startswith(LEARNER)]
    learned = [network.get_parameter(name) for name in names]
    if learner.inner_optimizer == "adam":
        optimizer = torch.optim.Adam(learned, lr=learner.inner_lr, betas=(0.0, 0.999))
    else:
        optimizer = torch.optim.SGD(learned, lr=learner.inner_lr)
    squares = {name: f"{CARRIED}squares:{name.replace('.', '/')}" for name in names}
    if learner.optimizer_state == "kept":
        for name, p in zip(names, learned, strict=True):
            slots = {"step": weights[f"{CARRIED}taken"].clone(), "exp_avg_sq": weights[squares[name]].clone()}
            optimizer.state[p] = {**slots, "exp_avg": torch.zeros_like(p)}
    path, losses = [weights_of(network)], []
    for x, y in batches:
        optimizer.zero_grad()
        loss = slow_loss(network(x), y)
        (loss * (y.numel() if learner.reduction == "sum" else 1)).backward()
        optimizer.step()
        path.append(weights_of(network))
        losses.append(loss.detach())
    if learner.optimizer_state == "fresh":
        return path, losses, {}
    carried = {squares[n]: optimizer.state[p]["exp_avg_sq"] for n, p in zip(names, learned, strict=True)}
    return path, losses, {**carried, f"{CARRIED}taken": optimizer.state[learned[0]]["step"]}


def slow_reptile(learner, network, weights, batch):
    moves, losses, carried = [], [], {}
    for sx, sy, qx, qy in tasks_of(batch):
        x, y = torch.cat([sx, qx]), torch.cat([sy, qy])
        rows = taking_turns(y)
        wanted = learner.train_steps * learner.batch
        rows = (rows * (wanted // len(rows) + 1))[:wanted]
        parts = [rows[i : i + learner.batch] for i in range(0, wanted, learner.batch)]
        batches = [(x[part], y[part]) for part in parts]
        path, values, carried = slow_training(learner, network, {**weights, **carried}, batches)
        moves.append({name: weights[name] - path[-1][name] for name in weights})
        losses += values
    return sum(losses) / len(losses), {n: sum(move[n] for move in moves) / len(moves) for n in weights} | carried


def taking_turns(y):
    """Positions of the first example of each class, then of the second, and so on."""
    if y.is_floating_point():
        return list(range(len(y)))
    queues = {c: [i for i, label in enumerate(y.tolist()) if label == c] for c in sorted(set(y.tolist()))}
    order = []
    while any(queues.values()):
        order += [queue.pop(0) for queue in queues.values() if queue]
    return order
