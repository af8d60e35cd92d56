"""Make an encoder of fetched third-party weights: build the network, load the file into it and split it.

Each publisher has its own layout. Unused tensors of a file are listed by name; any other tensor that is missing,
unknown or of another shape is an error, so that no layer silently keeps random weights.

References:
    - [0] Albanie: vgg_face_dag.py, the publisher's network of VGG-Face (order of the layers)
    - [1] Radford et al.: Learning Transferable Visual Models From Natural Language Supervision, ICML 2021 (CLIP)
    - [2] Zheng et al.: General Facial Representation Learning in a Visual-Linguistic Manner, CVPR 2022 (FaRL)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ciao_stream.encoders.weights.manifest import Entry, entry
from ciao_stream.encoders.weights.store import file_of, read_state, weights_folder, weights_path
from ciao_stream.exceptions import CiaoError

if TYPE_CHECKING:
    from timm.models.vision_transformer import VisionTransformer
    from torch import Tensor, nn

    from ciao_stream.encoders.base import Encoder

State = dict[str, "Tensor"]

VGG16 = [f"conv{block}_{i}" for block, depth in enumerate((2, 2, 3, 3, 3), 1) for i in range(1, depth + 1)]
"""Names of the convolutions of VGG-Face, in order [0]."""

TOWER = "visual."
"""Prefix of the tensors of CLIP's image tower; all others belong to the text tower [1]."""

MASKED_PATCHES = ("visual.mask_token", "visual.lm_transformer.", "visual.lm_head.", "visual.ln_lm.")
"""Prefixes of FaRL's second branch, which predicts masked patches [2]."""


def refusal(one: Entry) -> str | None:
    """Return why :func:`fetched_encoder` refuses an entry, with what to do instead; None if it accepts it."""
    if one.architecture is None:
        return (
            f"no dependency of ciao_stream builds {one.network}: build it yourself, load "
            f"ciao_stream.encoders.weights.load_state({one.name!r}) into it, and pass it to ciao_stream.attach"
        )
    if one.format not in ("safetensors", "state_dict"):
        return f"ciao_stream cannot read {one.format}"
    return None


def check_fetched(name: str) -> Entry:
    """Return the entry of weights, if they can be an encoder and were fetched; the file is not read."""
    one = entry(name)
    if why := refusal(one):
        raise CiaoError(f"weights {name} cannot be used as an encoder: {why}; see {one.page}")
    if not file_of(one, weights_folder()).exists():
        weights_path(name)  # raises: it says how to get them
    return one


def fetched_encoder(name: str) -> Encoder:
    """Return a frozen encoder with fetched weights. Nothing is downloaded.

    Args:
        name: One of :func:`~ciao_stream.encoders.weights.manifest.names`.

    Returns:
        The encoder ``weights:NAME``, with the preprocessing of the weights' training; except VGG-Face, which runs at
        the 96 pixels of the encoder ``vggface``.

    Raises:
        UnknownNameError: There are no such weights.
        CiaoError: The weights were not fetched, their network cannot be built, timm is needed and missing, or the file
            does not fit the network.
    """
    one = check_fetched(name)
    path = weights_path(name)
    state = {key.removeprefix("module."): tensor for key, tensor in read_state(one, path).items()}
    library, _, network = str(one.architecture).partition(":")
    build = {"encoder": _ours, "torchvision": _from_torchvision, "timm": _from_timm}[library]
    encoder = build(one, path, network, state)
    encoder.weights = f"{one.name}: {one.trained_on}"
    return encoder


def _ours(one: Entry, path: Path, network: str, state: State) -> Encoder:
    from torch import nn

    from ciao_stream.encoders.untrained import untrained_encoder

    encoder = untrained_encoder(network)
    convolutions = [layer for layer in encoder.modules() if isinstance(layer, nn.Conv2d)]
    theirs = nn.ModuleDict(dict(zip(VGG16, convolutions, strict=True)))
    _fill(one, path, theirs, {key: tensor for key, tensor in state.items() if not key.startswith("fc")})
    encoder.name = f"weights:{one.name}"
    encoder.preprocessing = replace(one.preprocessing, size=encoder.preprocessing.size)
    return encoder


def _from_torchvision(one: Entry, path: Path, network: str, state: State) -> Encoder:
    import torchvision
    from torch import nn

    from ciao_stream.encoders.attach import attach
    from ciao_stream.runtime.seeds import seeded_torch

    with seeded_torch(0, "weights", one.name):
        module = torchvision.models.get_model(network, weights=None)
    *_, classifier = [name for name, layer in module.named_modules() if isinstance(layer, nn.Linear)]
    _fill(one, path, module, state, classifier)
    return attach(module, one.preprocessing, f"weights:{one.name}")


def _from_timm(one: Entry, path: Path, network: str, state: State) -> Encoder:
    from ciao_stream.encoders.attach import attach
    from ciao_stream.runtime.seeds import seeded_torch

    try:
        import timm
        from timm.models.vision_transformer import VisionTransformer
    except ImportError as error:
        raise CiaoError(f"encoder 'weights:{one.name}' needs timm: pip install timm") from error

    with seeded_torch(0, "weights", one.name):
        module = timm.create_model(network, pretrained=False, num_classes=0)
    if isinstance(module, VisionTransformer) and any(key.startswith(TOWER) for key in state):
        state = _image_tower(one, path, module, state)
    config: Any = module.pretrained_cfg
    _fill(one, path, module, state, config["classifier"])
    return attach(module, one.preprocessing, f"weights:{one.name}")


def _image_tower(one: Entry, path: Path, module: VisionTransformer, state: State) -> State:
    """Rename the tensors of an image tower from CLIP's layout to timm's.

    The projection to the embedding shared with texts becomes the classifier. Patch and position embeddings of another
    size, which timm would resample, are an error: the publisher's file needs no resampling.
    """
    from timm.models.vision_transformer import checkpoint_filter_fn

    tower = {
        key: tensor for key, tensor in state.items() if key.startswith(TOWER) and not key.startswith(MASKED_PATCHES)
    }
    ours = module.state_dict()
    sizes = {
        "visual.conv1.weight": ours["patch_embed.proj.weight"],
        "visual.positional_embedding": ours["pos_embed"][0],
    }
    absent = [key for key in (*sizes, "visual.class_embedding") if key not in tower]
    other = [key for key, tensor in sizes.items() if key in tower and tower[key].shape != tensor.shape]
    _refuse(one, path, {"lacks": absent, "has other shapes of": other})
    return dict(checkpoint_filter_fn(tower, module))


def _fill(one: Entry, path: Path, module: nn.Module, state: State, classifier: str | None = None) -> None:
    """Load a file's tensors into a network; only its classifier may keep random weights."""
    head = f"{classifier}." if classifier else None
    given = {key: tensor for key, tensor in state.items() if not (head and key.startswith(head))}
    ours = {key: tensor for key, tensor in module.state_dict().items() if not (head and key.startswith(head))}
    absent = [key for key in ours if key not in given and not key.endswith(".num_batches_tracked")]
    unknown = [key for key in given if key not in ours]
    other = [key for key in ours if key in given and given[key].shape != ours[key].shape]
    _refuse(one, path, {"lacks": absent, "has unknown": unknown, "has other shapes of": other})
    module.load_state_dict(given, strict=False)


def _refuse(one: Entry, path: Path, faults: dict[str, list[str]]) -> None:
    found = [f"{what} {_some(keys)}" for what, keys in faults.items() if keys]
    if found:
        raise CiaoError(
            f"{path} does not fit {one.architecture}: it {', '.join(found)}; this is not the file of the weights "
            f"{one.name}: delete the folder {path.parent} and fetch them again"
        )


def _some(keys: Iterable[str]) -> str:
    first, *others = keys
    return f"{first} and {len(others)} more" if others else first
