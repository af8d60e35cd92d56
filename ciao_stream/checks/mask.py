"""The contract of a mask: checks that run in seconds, for ours in the tests and for your own.

::

    from ciao_stream.checks import check_mask

    check_mask(MyMask)
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from ciao_stream.checks import ContractError, checks_of, require, run_checks
from ciao_stream.encoders.base import HALF_MAX, LastConv, LastUnit, state_sha256
from ciao_stream.runtime.expect import described
from ciao_stream.runtime.seeds import seeded_torch
from ciao_stream.worlds.mask import A_MIN, InhibitoryMask


def check_mask(mask: type[InhibitoryMask]) -> None:
    """Check the contract of a mask, on last convolutions of all shapes.

    Args:
        mask: The class.

    Raises:
        ContractError: The mask breaks a promise; the message says which, and on which convolution.
    """
    if not (isinstance(mask, type) and issubclass(mask, InhibitoryMask)):
        raise ContractError(f"expected a class derived from InhibitoryMask but got {described(mask)}")
    for shape in lasts():
        for check in CHECKS:
            run_checks(f"{mask.__name__} on {shape}", [check], mask, lasts()[shape])


def lasts() -> dict[str, LastUnit]:
    """Return new, frozen last convolutions: 3x3, wide, pointwise, grouped, with norm, stride and residual."""
    with seeded_torch(0, "mask contract"):
        norm = nn.BatchNorm2d(12)
        for statistic in (norm.running_mean, norm.weight, norm.bias):
            nn.init.uniform_(statistic, 0.2, 0.9)  # type: ignore[arg-type]
        made: dict[str, LastUnit] = {
            "a 3x3 convolution": LastConv(nn.Conv2d(8, 12, 3, padding=1)),
            "a convolution with norm and residual": LastConv(nn.Conv2d(8, 12, 3, padding=1, bias=False), norm, 12),
            "a convolution of stride 2": LastConv(nn.Conv2d(8, 12, 5, stride=2, padding=2)),
            "a convolution without padding": LastConv(nn.Conv2d(8, 8, 3)),
            "a 1x1 convolution": LastConv(nn.Conv2d(8, 32, 1)),
            "a 1x1 convolution of stride 2": LastConv(nn.Conv2d(8, 32, 1, stride=2)),
            "a depthwise convolution": LastConv(nn.Conv2d(8, 8, 3, padding=1, groups=8)),
            "a grouped convolution": LastConv(nn.Conv2d(8, 12, 3, padding=1, groups=2)),
        }
    return {shape: last.requires_grad_(False).eval() for shape, last in made.items()}


def check_size_is_its_number_of_parameters(mask: type[InhibitoryMask], last: LastUnit) -> None:
    """``size`` is the number of parameters, and all of them can be trained."""
    parameters = [*mask(last).parameters()]
    count = sum(p.numel() for p in parameters)
    require(mask.size(last) == count, f"its size is {mask.size(last)} but it has {count} parameters")
    require(all(p.requires_grad for p in parameters), "some of its parameters cannot be trained")


def check_starts_the_same_every_time(mask: type[InhibitoryMask], last: LastUnit) -> None:
    """It starts the same, whatever the global random generator drew before, and draws nothing from it."""
    state = torch.get_rng_state()
    first = state_sha256(mask(last))
    require(torch.equal(torch.get_rng_state(), state), "making it draws from the global generator")
    torch.rand(1)
    require(state_sha256(mask(last)) == first, "it starts differently each time it is made")
    torch.set_rng_state(state)


def check_keeps_shape_type_and_sign(mask: type[InhibitoryMask], last: LastUnit) -> None:
    """The masked map has the shape, the dtype and the signs of the map."""
    x, u = _inputs(last)
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype is not torch.float32):
            masked = mask(last)(x.to(dtype), (u - 1).to(dtype))
        require(masked.shape == u.shape, f"it changes the shape {tuple(u.shape)} to {tuple(masked.shape)}")
        require(masked.dtype is dtype, f"it changes {dtype} to {masked.dtype}")
        require(torch.equal(masked.sign(), (u - 1).to(dtype).sign()), "it changes the sign of a value")


def check_divides_by_the_inhibition(mask: type[InhibitoryMask], last: LastUnit) -> None:
    """``M = u / (a + I)``, with ``I`` >= 0 and ``a`` = 0.5 before training."""
    x, u = _inputs(last)
    made = mask(last)
    inhibition = made.inhibit(x, u.shape[2:]).relu()
    require(torch.allclose(made.a, torch.tensor(0.5)), "its integration term does not start at 0.5")
    require(torch.allclose(made(x, u), u / (0.5 + inhibition), atol=1e-5), "it is not u / (a + I)")


def check_stays_finite(mask: type[InhibitoryMask], last: LastUnit) -> None:
    """The largest inputs and the smallest ``a`` give no NaN or infinity, in the map or in a gradient."""
    x, u = _inputs(last)
    for size in (0.0, HALF_MAX, torch.finfo(torch.float32).max):
        for raw in (-size, size):
            made = mask(last)
            nn.init.constant_(made.raw_a, raw)
            masked = made(x.sign() * size, u.sign() * size)
            require(bool(masked.isfinite().all()), f"inputs of {size:g} give a value that is not finite")
            require(bool((made.a >= A_MIN).all()), "its integration term falls below its least value")
            masked.double().mean().backward()
            gradients = [p.grad for p in made.parameters() if p.grad is not None]
            require(
                all(bool(g.isfinite().all()) for g in gradients),
                f"inputs of {size:g} give a gradient that is not finite",
            )


def check_trains_away_from_the_encoder(mask: type[InhibitoryMask], last: LastUnit) -> None:
    """Training changes every parameter of the mask, and nothing of the encoder's convolution."""
    before, made = state_sha256(last), mask(last)
    start = copy.deepcopy(made.state_dict())
    x, u = _inputs(last)
    optimizer = torch.optim.Adam(made.parameters(), lr=0.05)
    for _ in range(3):
        optimizer.zero_grad()
        made(x, u).square().mean().backward()
        optimizer.step()
    still = [name for name, tensor in made.state_dict().items() if torch.equal(tensor, start[name])]
    require(not still, f"training does not change {', '.join(still)}")
    require(state_sha256(last) == before, "training it changes the encoder's convolution")
    require(not any(p.requires_grad for p in last.parameters()), "it thaws the encoder's convolution")


def check_is_restored_by_its_state(mask: type[InhibitoryMask], last: LastUnit) -> None:
    """Another mask on the same convolution gives the same map after loading the state."""
    made, again = mask(last), mask(last)
    for parameter in made.parameters():
        parameter.data.add_(0.01)
    again.load_state_dict(made.state_dict(), strict=True)
    x, u = _inputs(last)
    require(torch.equal(made(x, u), again(x, u)), "loading its state does not restore it")


CHECKS = checks_of(__name__)


def _inputs(last: LastUnit) -> tuple[Tensor, Tensor]:
    """Return an input of the convolution, (3, in_channels, 8, 8), and its output after the activation."""
    with seeded_torch(0, "mask inputs"), torch.no_grad():
        x = torch.randn(3, last.conv.in_channels, 8, 8)
        residual = torch.rand_like(last.conv(x))
        return x, last.activate(x, (residual,))
