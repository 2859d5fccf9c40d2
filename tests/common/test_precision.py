"""Half precision in a training, as a GPU would compute it, on the CPU."""

import math
from typing import Any

import pytest

from likeness.common.errors import LikenessError
from likeness.common.precision import MixedPrecision, Precision, check_finite, dtype_of
from likeness.common.runtime import half_of

PRECISIONS: tuple[Precision, ...] = ("no", "bf16", "fp16")


def layer() -> Any:
    import torch

    torch.manual_seed(0)
    return torch.nn.Linear(4, 4)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_what_is_computed_in_half_and_what_learns_in_float32(precision: Precision) -> None:
    import torch

    network, inputs = layer(), torch.ones(2, 4)
    mixed = MixedPrecision(precision, "cpu")
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    before = network.weight.detach().clone()
    with mixed.autocast():
        output = network(inputs)
    assert output.dtype == dtype_of(precision)
    mixed.scaled(output.float().square().mean()).backward()
    mixed.step(optimizer, list(network.parameters()), 1.0)
    assert network.weight.dtype == torch.float32
    expected = layer()
    expected(inputs).square().mean().backward()
    torch.nn.utils.clip_grad_norm_(expected.parameters(), 1.0)
    torch.optim.SGD(expected.parameters(), lr=0.1).step()
    assert not torch.equal(network.weight, before)
    assert torch.allclose(network.weight, expected.weight, atol=0 if precision == "no" else 1e-3)


def test_gradients_that_fp16_would_lose_survive() -> None:
    import torch

    weight = torch.nn.Parameter(torch.tensor(1.0))
    mixed = MixedPrecision("fp16", "cpu")
    # 1e-8 is 0 in fp16; scaled up by 65,536 it is not.
    loss = (weight.half() * torch.tensor(1.0, dtype=torch.float16)).float() * 1e-8
    mixed.scaled(loss).backward()
    mixed.step(torch.optim.SGD([weight], lr=1e8), [weight], 1.0)
    assert weight.item() == pytest.approx(0.0, abs=0.01)


def test_a_step_that_overflows_is_left_out_and_the_scale_is_kept() -> None:
    import torch

    weight = torch.nn.Parameter(torch.tensor(1.0))
    mixed = MixedPrecision("fp16", "cpu")
    mixed.scaled(weight * torch.inf).backward()
    mixed.step(torch.optim.SGD([weight], lr=0.1), [weight], 1.0)
    assert weight.item() == 1.0
    resumed = MixedPrecision("fp16", "cpu")
    first = resumed.state_dict()["scale"]
    resumed.load_state_dict(mixed.state_dict())
    assert resumed.state_dict()["scale"] == first / 2


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_nothing_else_has_a_scale(precision: Precision) -> None:
    mixed = MixedPrecision(precision, "cpu")
    assert mixed.state_dict() == {}
    mixed.load_state_dict({})


@pytest.mark.parametrize(
    ("device", "native", "half"),
    [("cpu", True, "no"), ("mps", True, "no"), ("cuda", True, "bf16"), ("cuda", False, "fp16")],
)
def test_auto_is_what_the_device_computes_without_emulation(
    monkeypatch: pytest.MonkeyPatch, device: str, native: bool, half: str
) -> None:
    import torch

    def supported(including_emulation: bool = True) -> bool:
        return native or including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert half_of(device) == half


@pytest.mark.parametrize("loss", [1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("weight", [1.0, float("nan"), float("inf")])
def test_a_training_ends_where_loss_and_weights_are_numbers_no_more(
    loss: float, weight: float
) -> None:
    import torch

    weights = [torch.ones(2), torch.tensor([1.0, weight])]
    what = {"stage": "voice_train", "step": 7, "learning_rate": 0.5}
    if math.isfinite(loss) or math.isfinite(weight):
        check_finite(loss, weights, **what)
        return
    with pytest.raises(LikenessError, match=r"at step 7 .*lower voice_train.learning_rate.* 0\.5$"):
        check_finite(loss, weights, **what)
