"""Muon for matrices and AdamW for the rest: who gets which weight, and what a step does to it."""

import copy

import pytest
import torch

from models.muon import MuonAndAdamW


def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3), torch.nn.GroupNorm(2, 8), torch.nn.Conv2d(8, 16, 3),
        torch.nn.Flatten(), torch.nn.Linear(16, 4),
    )  # fmt: skip


def backward(model):
    model(
        torch.randn(200, 3, 5, 5, generator=torch.Generator().manual_seed(1))
    ).square().sum().backward()


def test_a_matrix_moves_by_an_orthogonal_step_of_adamws_size():
    model = network()
    before = copy.deepcopy(model)
    optimizer = MuonAndAdamW(model, lr=0.1, weight_decay=0.0, except_of={"0"})
    backward(model)
    optimizer.step()
    step = (model[2].weight - before[2].weight).detach().flatten(1) / 0.1
    strengths = torch.linalg.svdvals(step)
    # The gradient is of rank 4; Newton-Schulz brings these singular values near each other.
    gradient = torch.linalg.svdvals(model[2].weight.grad.flatten(1))
    assert gradient[0] > 2.5 * gradient[3]
    assert strengths[0] < 1.8 * strengths[3]
    # A step of full rank has a root mean square of 0.2, about as AdamW's.
    assert step.square().mean().sqrt() == pytest.approx(0.2 * (4 / 16) ** 0.5, rel=0.2)


def test_first_layer_biases_and_norms_are_adamws():
    model, twin = network(), network()
    optimizer = MuonAndAdamW(model, lr=0.1, weight_decay=0.01, except_of={"0"})
    plain = torch.optim.AdamW(twin.parameters(), lr=0.1, weight_decay=0.01)
    for one, by in ((model, optimizer), (twin, plain)):
        backward(one)
        by.step()
    alike = {name for (name, a), b in zip(model.named_parameters(), twin.parameters(), strict=True)
             if torch.equal(a, b)}  # fmt: skip
    assert alike == {"0.weight", "0.bias", "1.weight", "1.bias", "2.bias", "4.bias"}


def test_the_state_goes_on_where_it_was():
    whole, first = network(), network()
    one = MuonAndAdamW(whole, lr=0.1, weight_decay=0.01, except_of={"0"})
    two = MuonAndAdamW(first, lr=0.1, weight_decay=0.01, except_of={"0"})
    for model, optimizer in ((whole, one), (first, two)):
        backward(model)
        optimizer.step()
        optimizer.zero_grad()
    resumed = copy.deepcopy(first)
    three = MuonAndAdamW(resumed, lr=0.1, weight_decay=0.01, except_of={"0"})
    three.load_state_dict(copy.deepcopy(two.state_dict()))
    for model, optimizer in ((whole, one), (resumed, three)):
        backward(model)
        optimizer.step()
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


def test_an_unknown_module_is_named():
    with pytest.raises(ValueError, match="no module conv_inn"):
        MuonAndAdamW(network(), lr=0.1, weight_decay=0.0, except_of={"conv_inn"})
