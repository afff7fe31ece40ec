"""The search for a policy: its options, its steps, the same by seed, and a case with a harmful operation."""

import math

import pytest
import torch
from torch import nn

from nas.augmentation_policy import OPERATIONS, AugmentationPolicy
from nas.errors import ConfigError, DataError, NasError, SpaceError
from nas.evaluators.augmentation.dada import search
from nas.evaluators.augmentation.dada.bilevel import UnrolledStep
from nas.evaluators.augmentation.dada.distribution import PAIRS, Draw, PolicyParameters, draw
from nas.evaluators.augmentation.dada.search import Dada, DadaOptions, Images, learn_policy, weights_by_operation
from nas.evaluators.augmentation.operations import apply

TINY = DadaOptions(epochs=2, batch=8, sub_policies=4)


def bright_or_dark(number, seed):
    """Noise around a dark or a bright level, which is the label: Invert makes each the other."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(2, (number,), generator=generator)
    levels = torch.where(y == 1, 180.0, 75.0)[:, None, None, None]
    x = levels + 40 * torch.randn(number, 1, 8, 8, generator=generator)
    return Images(x.clamp(0, 255).to(torch.uint8), y)


def small_network(seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        convolutions = nn.Conv2d(1, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU()
        return nn.Sequential(*convolutions, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2))


def learned(options=TINY, network_seed=0, **arguments):
    halves = bright_or_dark(24, 1), bright_or_dark(20, 2)
    return learn_policy(small_network(network_seed), *halves, options, **arguments)


def values(result):
    return [p for state in result.history for p in vars(state.parameters).values()]


# --- a planted case --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1])
def test_an_operation_that_destroys_the_labels_loses_weight(seed):
    halves = bright_or_dark(640, 1 + 10 * seed), bright_or_dark(640, 2 + 10 * seed)
    options = DadaOptions(epochs=10, batch=64, policy_rate=0.03, seed=seed)
    result = learn_policy(small_network(seed), *halves, options)
    weights = weights_by_operation(result.history[-1].parameters)
    average = sum(weights.values()) / len(OPERATIONS)
    assert min(weights, key=weights.__getitem__) == "Invert"
    assert weights["Invert"] < 0.75 * average
    harmless = [weights[name] for name in ("Rotate", "ShearX", "TranslateX", "Sharpness", "Contrast")]
    assert min(harmless) > 0.85 * average
    assert result.history[-1].validation_loss < 0.2 < result.history[1].validation_loss


# --- results ---------------------------------------------------------------------------------------------------------


def test_a_search_is_the_same_by_its_seed():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        one = learned()
        torch.manual_seed(8)
        same = learned()
    assert one.policy == same.policy
    assert all(torch.equal(*pair) for pair in zip(values(one), values(same), strict=True))
    other = learned(DadaOptions(epochs=2, batch=8, sub_policies=4, seed=1))
    assert not torch.equal(values(one)[-1], values(other)[-1])


def test_it_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    learned()
    assert torch.equal(torch.get_rng_state(), before)


def test_the_result_is_a_policy_and_the_history_of_its_distribution():
    heard = []
    result = learned(progress=lambda number, epoch: heard.append((number, epoch)))
    assert len(result.policy.sub_policies) == 4
    assert result.policy == result.history[-1].parameters.best(4)
    assert AugmentationPolicy.from_json(result.policy.to_json()) == result.policy
    assert len(result.history) == 3
    assert heard == list(enumerate(result.history))[1:]
    assert math.isnan(result.history[0].train_loss)
    assert all(math.isfinite(loss) for e in result.history[1:] for loss in (e.train_loss, e.validation_loss))
    start = PolicyParameters.start(torch.device("cpu"))
    for name, first in vars(start).items():
        assert torch.equal(getattr(result.history[0].parameters, name), first)
        assert not torch.equal(getattr(result.history[-1].parameters, name), first)
    last = result.history[-1].parameters.magnitudes
    assert last.min() >= 0
    assert last.max() <= 1
    assert result.seconds > 0


def test_weights_by_operation_sum_to_2_and_are_those_of_its_pairs():
    logits = torch.randn(105, generator=torch.Generator().manual_seed(0))
    weights = weights_by_operation(PolicyParameters(logits, torch.zeros(105, 2), torch.zeros(105, 2)))
    assert tuple(weights) == OPERATIONS
    assert sum(weights.values()) == pytest.approx(2)
    of_rotate = sum(w for pair, w in zip(PAIRS, logits.softmax(0).tolist(), strict=True) if 4 in pair)
    assert weights["Rotate"] == pytest.approx(of_rotate)


# --- one step --------------------------------------------------------------------------------------------------------


def test_images_are_augmented_by_what_was_drawn():
    state = Dada(small_network(), TINY)
    images = bright_or_dark(40, 3).x
    drawn = draw(state.parameters, 40, torch.Generator().manual_seed(5))
    state._generator.manual_seed(6)
    changed = state._augmented(images, drawn)
    uniforms = torch.rand(2, 40, 2, generator=torch.Generator().manual_seed(6))
    for number in range(40):
        image = images[number : number + 1]
        for place, operation in enumerate(PAIRS[int(drawn.sub_policies[number])]):
            if drawn.applied[number, place]:
                half = torch.full((1,), 0.5)
                image = apply(OPERATIONS[operation], image, half, uniforms[place, number : number + 1])
        assert torch.equal(changed[number : number + 1], image)


def test_magnitudes_move_against_the_derivative_by_the_pixels_where_an_operation_was_applied():
    """Straight-through: the gradient is the mean over images of the derivative, for applied operations alone."""
    state = Dada(small_network(), TINY)
    drawn = draw(state.parameters, 4, torch.Generator().manual_seed(0))
    applied = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0], [1.0, 1.0]])
    drawn = Draw(torch.tensor([3, 3, 7, 9]), applied, *list(vars(drawn).values())[2:])
    zero = torch.zeros(())
    state._move_policy(drawn, UnrolledStep(torch.ones(4), torch.tensor([2.0, -6.0, 5.0, 1.0]), (), zero, zero))
    gradient = state.parameters.magnitudes.grad
    expected = torch.zeros(105, 2)
    expected[3], expected[9] = torch.tensor([(2 - 6) / 4, -6 / 4]), torch.tensor([1 / 4, 1 / 4])
    assert torch.allclose(gradient, expected)
    moved = state.parameters.magnitudes - 0.5
    assert torch.equal(moved.sign(), -expected.sign())


def test_the_scale_of_the_losses_does_not_matter_to_a_first_step():
    parameters = []
    for scale in (1.0, 1e-4):
        state = Dada(small_network(), TINY)
        drawn = draw(state.parameters, 8, torch.Generator().manual_seed(0))
        losses = scale * torch.linspace(-1, 2, 8)
        state._move_policy(drawn, UnrolledStep(losses, losses, (), torch.zeros(()), torch.zeros(())))
        parameters.append(state.parameters)
    assert torch.allclose(parameters[0].logits, parameters[1].logits, atol=1e-6)
    assert torch.allclose(parameters[0].gates, parameters[1].gates, atol=1e-6)


def test_a_step_trains_the_weights_by_the_gradient_at_the_weights_before_it():
    network = small_network()
    state = Dada(network, DadaOptions(momentum=0.0))
    before = [p.detach().clone() for p in network.parameters()]
    step = state.step(bright_or_dark(16, 1), bright_or_dark(16, 2), 0.25)
    for weight, start, gradient in zip(network.parameters(), before, step.gradients, strict=True):
        assert torch.allclose(weight, start - 0.25 * gradient)


def test_batches_are_of_different_rows_and_begin_anew():
    generator = torch.Generator().manual_seed(0)
    batches = search._batches(10, 4, 5, generator)
    assert [len(batch) for batch in batches] == [4] * 5
    for first in (0, 2):
        assert len(set(torch.cat(batches[first : first + 2]).tolist())) == 8
    assert len(search._batches(8, 4, 2, generator)) == 2


# --- what is refused -------------------------------------------------------------------------------------------------


def test_a_rate_at_which_training_diverges_is_refused():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = [layer for _ in range(4) for layer in (nn.Linear(8, 8), nn.Softplus())]
        network = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), *layers, nn.Linear(8, 2))
    options = DadaOptions(epochs=3, batch=8, rate=1e6)
    with pytest.raises(NasError, match=r"dada: a loss is not finite in epoch \d; lower the rate"):
        learn_policy(network, bright_or_dark(24, 1), bright_or_dark(24, 2), options)


def test_batch_normalisation_is_refused():
    network = nn.Sequential(nn.BatchNorm2d(1), small_network())
    half = bright_or_dark(TINY.batch, 0)
    with pytest.raises(SpaceError, match="use group normalisation"):
        learn_policy(network, half, half, TINY)


@pytest.mark.parametrize("numbers", [(7, 20), (20, 7)])
def test_fewer_images_than_a_batch_are_refused(numbers):
    with pytest.raises(DataError) as error:
        learn_policy(small_network(), bright_or_dark(numbers[0], 1), bright_or_dark(numbers[1], 2), TINY)
    assert str(error.value) == (
        f"dada: batches of 8 images need as many in each half; there are {numbers[0]} training and {numbers[1]} "
        "validation images: lower batch or give more"
    )


@pytest.mark.parametrize(
    "option, value",
    [
        ("epochs", 0),
        ("batch", 1),
        ("rate", 0.0),
        ("momentum", -0.1),
        ("policy_rate", math.nan),
        ("temperature", 0.0),
        ("sub_policies", 106),
        ("seed", -1),
    ],
)
def test_options_out_of_bounds_are_refused(option, value):
    with pytest.raises(ConfigError, match=f"dada {option} = "):
        DadaOptions(**{option: value})


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_search_runs_on_the_gpu():
    halves = (Images(half.x.cuda(), half.y.cuda()) for half in (bright_or_dark(24, 1), bright_or_dark(24, 2)))
    result = learn_policy(small_network().cuda(), *halves, TINY)
    assert result.history[-1].parameters.logits.is_cuda
    assert len(result.policy.sub_policies) == 4
