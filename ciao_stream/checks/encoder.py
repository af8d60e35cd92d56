"""The contract of an encoder: checks that run in seconds, for ours in the tests and for your own.

::

    from ciao_stream.checks import check_encoder

    check_encoder(attach(network, preprocessing, "mine"))
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ciao_stream.checks import ContractError, checks_of, require, run_checks
from ciao_stream.encoders.base import HALF_MAX, Encoder, state_sha256
from ciao_stream.runtime.expect import described
from ciao_stream.runtime.seeds import seeded_torch

Network = Callable[[Tensor], Tensor]

TOLERANCE = 1e-5
"""Largest difference between two ways to compute one tensor, relative to its largest value: float32 rounding."""

STORED_TOLERANCE = 0.1
"""Largest difference of a map after bfloat16 and float16, relative to the map, both as root mean squares. A map below
the smallest normal number of float16 counts as that."""


def check_encoder(encoder: Encoder, network: Network | None = None) -> None:
    """Check the contract of an encoder. The encoder is not changed.

    Args:
        encoder: The frozen encoder.
        network: Maps normalised images, float32 (B, channels, size, size), to the map, (B, C, h, w): the network
            before it was split. Compared with the encoder if given.

    Raises:
        ContractError: The encoder breaks a promise; the message says which.
    """
    if not isinstance(encoder, Encoder):
        raise ContractError(f"expected an Encoder but got {described(encoder)}")
    run_checks(encoder.name, CHECKS, encoder)
    if network is not None:
        pixels = _pixels(encoder)
        with torch.no_grad():
            expected = network(encoder.preprocessing.normalise(pixels))
        _close(encoder(pixels), expected, f"{encoder.name}: its map differs from that of the network")


def check_channels_agree(encoder: Encoder) -> None:
    """Preprocessing gives uint8 images with the channels that the network takes."""
    prepare = encoder.preprocessing
    for shape in ((40, 30), (40, 30, 3)):
        fitted = prepare.fit(np.zeros(shape, np.uint8))
        require(fitted.shape == prepare.shape, f"an image {shape} becomes {fitted.shape}, expected {prepare.shape}")
        require(fitted.dtype == np.uint8, f"an image becomes {fitted.dtype}, expected uint8")
    try:
        encoder(_pixels(encoder))
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise ContractError(f"it does not accept preprocessed images {prepare.shape}: {reason}") from error


def check_is_frozen(encoder: Encoder) -> None:
    """No parameter has a gradient, ``train()`` leaves evaluation mode on, and a forward pass changes no buffer."""
    trainable = [name for name, parameter in encoder.named_parameters() if parameter.requires_grad]
    require(not trainable, f"parameters require a gradient: {', '.join(trainable[:3])}")
    torch.nn.ModuleList([encoder]).train()
    training = [name or "the encoder" for name, module in encoder.named_modules() if module.training]
    require(not training, f"modules are in training mode: {', '.join(training[:3])}")
    before = state_sha256(encoder)
    encoder(_pixels(encoder))
    require(state_sha256(encoder) == before, "a forward pass changes its weights or buffers")


def check_shapes_are_true(encoder: Encoder) -> None:
    """``shapes`` gives the shapes of ``z`` and of the map, which is a grid of floats."""
    z = encoder.encode(_pixels(encoder))
    given, got = encoder.shapes(), (z.shape[1:], encoder.last(z).shape[1:])
    require(given == got, f"shapes() gives {_sizes(given)} but z and the map have {_sizes(got)}")
    require(len(got[1]) == 3, f"its map has the shape {_sizes(got[1:])} per image, expected (C, h, w)")


def check_is_deterministic(encoder: Encoder) -> None:
    """The same images give the same bits, and no number is drawn from the global generator."""
    pixels, state = _pixels(encoder), torch.get_rng_state()
    first = encoder(pixels)
    require(torch.equal(torch.get_rng_state(), state), "a forward pass draws from the global random generator")
    torch.rand(1)
    second = encoder(pixels)
    torch.set_rng_state(state)
    require(torch.equal(first, second), "two forward passes differ")


def check_steps_give_the_map(encoder: Encoder) -> None:
    """``enter``, ``activate`` and ``leave`` give the map of the whole encoder; ``u`` has the convolution's channels."""
    pixels, last = _pixels(encoder), encoder.last
    x, carry = last.enter(encoder.encode(pixels))
    u = last.activate(x, carry)
    require(x.shape[1] == last.conv.in_channels, f"the convolution takes {x.shape[1]} channels, not its in_channels")
    require(u.shape[1] == last.conv.out_channels, f"u has {u.shape[1]} channels, expected {last.conv.out_channels}")
    _close(last.finish(last.conv(x), carry), u, "activate differs from finish after the convolution")
    _close(last.leave(u, carry), encoder(pixels), "enter, activate and leave give another map than the encoder")


def check_takes_any_batch(encoder: Encoder) -> None:
    """A face has the same map alone and in a batch, and an empty batch gives an empty map."""
    pixels = _pixels(encoder)
    _close(encoder(pixels[:1]), encoder(pixels)[:1], "a face alone has another map than in a batch")
    empty = encoder(pixels[:0])
    require(empty.shape == (0, *encoder.shapes()[1]), f"an empty batch gives the shape {tuple(empty.shape)}")


def check_survives_float16(encoder: Encoder) -> None:
    """``z`` and the map are finite float16 in the cache, within its limits, and give nearly the same map."""
    pixels = _pixels(encoder)
    z = encoder.stored_z(pixels)
    u = encoder.stored_u(z)
    for what, stored in (("z", z), ("the map", u)):
        require(stored.dtype is torch.float16, f"{what} is stored as {stored.dtype}, expected float16")
        require(bool((stored.abs() <= HALF_MAX).all()), f"stored values of {what} are not within +-{HALF_MAX:.0f}")
    exact = encoder(pixels)
    off, size = ((tensor.square().mean().sqrt().item()) for tensor in (u.float() - exact, exact))
    off /= max(size, torch.finfo(torch.float16).tiny)
    require(off <= STORED_TOLERANCE, f"stored as float16, the map differs by {off:.0%}")


def check_fingerprint_follows_the_weights(encoder: Encoder) -> None:
    """The fingerprint changes with any weight, buffer, name or preprocessing, and with nothing else."""
    before = encoder.fingerprint()
    encoder(_pixels(encoder))
    require(encoder.fingerprint() == before, "its fingerprint changes without a change of weights")
    require(encoder.frozen_copy().fingerprint() == before, "a copy has another fingerprint")
    twin = copy.deepcopy(encoder)
    tensors = [*twin.named_parameters(), *twin.named_buffers()]
    for name, tensor in {tensors[i][0]: tensors[i][1] for i in (0, len(tensors) // 2, -1)}.items():
        start = tensor.detach().clone()
        tensor.data.add_(1)
        require(twin.fingerprint() != before, f"its fingerprint does not change with {name}")
        tensor.data.copy_(start)
    twin.name += "'"
    require(twin.fingerprint() != before, "its fingerprint does not change with its name")


def check_copies_train_apart(encoder: Encoder) -> None:
    """Training a thawed encoder or a retrainable last convolution moves the copy and nothing of the encoder."""
    before, pixels = state_sha256(encoder), _pixels(encoder)
    z = encoder.encode(pixels)
    thawed, retrained = encoder.thawed(), encoder.last.retrainable()
    for what, copied, x, conv in (
        ("thawed()", thawed, pixels, thawed.last.conv),
        ("last.retrainable()", retrained, z, retrained.conv),
    ):
        require(any(p.requires_grad for p in copied.parameters()), f"{what} has no trainable parameter")
        start = conv.weight.detach().clone()
        copied(x).square().mean().backward()
        for parameter in copied.parameters():
            if parameter.grad is not None:
                parameter.data -= 0.01 * parameter.grad.sign()
        require(not torch.equal(conv.weight, start), f"the last convolution of {what} cannot be trained")
        require(state_sha256(encoder) == before, f"training {what} changes the encoder")


def check_moves_to_a_device(encoder: Encoder) -> None:
    """``to(device)`` moves every tensor, since all are parameters or buffers; with CUDA, the encoder runs there too."""
    for name, module in encoder.named_modules():
        fixed = [f"{name}.{key}".lstrip(".") for key, value in vars(module).items() if isinstance(value, Tensor)]
        require(not fixed, f"{', '.join(fixed)}: tensors that .to(device) leaves behind; register them as buffers")
    moved = copy.deepcopy(encoder).to("meta")
    require(moved.device.type == "meta", f"after .to('meta') its device is {moved.device}")
    if torch.cuda.is_available():
        on_cuda = copy.deepcopy(encoder).to("cuda")
        shape = on_cuda(_pixels(on_cuda)).shape[1:]
        require(shape == encoder.shapes()[1], f"on CUDA its map has the shape {tuple(shape)}")


CHECKS = checks_of(__name__)


def _pixels(encoder: Encoder) -> Tensor:
    """Return two images: noise, and a white one."""
    with seeded_torch(0, "encoder contract"):
        pixels = torch.randint(0, 256, (2, *encoder.preprocessing.shape), dtype=torch.uint8)
    pixels[1] = 255
    return pixels.to(encoder.device)


def _close(got: Tensor, expected: Tensor, broken: str) -> None:
    require(got.shape == expected.shape, f"{broken}: the shapes are {tuple(got.shape)} and {tuple(expected.shape)}")
    off = (got - expected).abs().max().item() if got.numel() else 0.0
    require(off <= TOLERANCE * max(1.0, expected.abs().max().item()), f"{broken}: by {off:.2g}")


def _sizes(shapes: tuple[torch.Size, ...]) -> str:
    return ", ".join(str(tuple(shape)) for shape in shapes)
