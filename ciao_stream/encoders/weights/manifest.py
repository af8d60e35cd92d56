"""Third-party weights that can be fetched: address, licence, training data and preprocessing.

``None`` means unknown. A sha256 that is unknown here is recorded at the first fetch and required from then on. None of
these files is part of this package.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from ciao_stream.exceptions import UnknownNameError

if TYPE_CHECKING:
    from ciao_stream.encoders.base import Preprocessing

Format = Literal["safetensors", "state_dict", "h5 in tar.xz"]
"""Format of the file; ``state_dict`` is written by ``torch.save`` and read with ``weights_only=True``."""

Prepare = tuple[int, Literal["gray", "rgb", "bgr"], tuple[float, ...], tuple[float, ...]]
"""The fields of :class:`~ciao_stream.encoders.base.Preprocessing`: size, channels, mean, std."""


@dataclass(frozen=True)
class Entry:
    """One file of weights.

    Args:
        name: The name in commands.
        file: Name of the file, as its publisher gives it.
        url: Download address; None if a person has to download the file in a browser, from ``page``.
        page: The publisher's description.
        format: Format of the file.
        licence: Of the weights, as far as it is stated.
        trained_on: Training data. A task on the same faces does not show adaptation.
        prepare: Preprocessing of a face in training; see :attr:`preprocessing`.
        network: Description of the network.
        architecture: Builds the network: ``timm:NAME``, ``torchvision:NAME``, or ``encoder:NAME`` for one of this
            package's own; None if no dependency of this package can build it.
        sha256: Of the whole file.
        megabytes: Approximate size of the file.
        git_blob: Name of the file's blob in its publisher's git repository: a sha1 of its length and content.
        key: Key of the state dict in the file.
        note: What a user should know before using it.
    """

    name: str
    file: str
    url: str | None
    page: str
    format: Format
    licence: str
    trained_on: str
    prepare: Prepare
    network: str
    architecture: str | None
    sha256: str | None = None
    megabytes: int | None = None
    git_blob: str | None = None
    key: str | None = None
    note: str = ""

    @property
    def preprocessing(self) -> Preprocessing:
        """Preprocessing of a face for the network."""
        from ciao_stream.encoders.base import Preprocessing

        return Preprocessing(*self.prepare)


_IMAGENET: Prepare = (224, "rgb", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_CLIP: Prepare = (224, "rgb", (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))


_FACENET_VGGFACE2 = Entry(
    name="facenet-vggface2",
    file="20180402-114759-vggface2.pt",
    url="https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/20180402-114759-vggface2.pt",
    page="https://github.com/timesler/facenet-pytorch",
    format="state_dict",
    licence="none stated for the weights (code MIT); the training data is non-commercial",
    trained_on="VGGFace2: 3.3 million web photographs of 9,131 people, for identity",
    prepare=(160, "rgb", (127.5 / 255,) * 3, (128 / 255,) * 3),
    network="Inception-ResNet v1 (FaceNet)",
    architecture=None,
    sha256="281cebca8662831adb987a874bdcb36e73f5b1c6dc5ee5878f305e985625d99b",
    megabytes=112,
    note="A flat state dict of facenet-pytorch's InceptionResnetV1, with a classifier (logits.*) on top. That package "
    "pins old versions of torch, numpy and Pillow: use its state dict, not the package.",
)
_CLIP_B32 = Entry(
    name="clip-vit-b32",
    file="open_clip_model.safetensors",
    url="https://huggingface.co/timm/vit_base_patch32_clip_224.openai/resolve/"
    "a6f597a30f7b82c51704746581f9a4e41421e878/open_clip_model.safetensors",
    page="https://huggingface.co/timm/vit_base_patch32_clip_224.openai",
    format="safetensors",
    licence="MIT (OpenAI); the model card of the safetensors copy says apache-2.0",
    trained_on="400 million image-text pairs from the web, collected by OpenAI and not published",
    prepare=_CLIP,
    network="CLIP ViT-B/32",
    architecture="timm:vit_base_patch32_clip_quickgelu_224",
    sha256="e6d1bd7789aa45192b3bf90570a789b478bae1b74ebcce7eddd908e83a2b7c31",
    megabytes=605,
    note="OpenAI's own file is TorchScript, a program, and is not loaded; this is the safetensors copy that the makers "
    "of timm and OpenCLIP publish. It holds the text tower too; names in the image tower begin with visual. The "
    "network's activation is QuickGELU. Trained with bicubic resizing.",
)
_FARL_B16 = Entry(
    name="farl-b16",
    file="FaRL-Base-Patch16-LAIONFace20M-ep16.pth",
    url="https://github.com/FacePerceiver/FaRL/releases/download/pretrained_weights/"
    "FaRL-Base-Patch16-LAIONFace20M-ep16.pth",
    page="https://github.com/FacePerceiver/FaRL",
    format="state_dict",
    licence="repository MIT (Microsoft)",
    trained_on="LAION-Face, 20 million face-text pairs from the web, 16 epochs (the paper's)",
    prepare=_CLIP,
    network="FaRL ViT-B/16",
    architecture="timm:vit_base_patch16_clip_quickgelu_224",
    key="state_dict",
    note="Image and text tower in OpenAI's layout for CLIP ViT-B/16; names in the image tower begin with visual.",
)

ENTRIES: tuple[Entry, ...] = (
    Entry(
        name="vggface",
        file="vgg_face_dag.pth",
        url="https://www.robots.ox.ac.uk/~albanie/models/pytorch-mcn/vgg_face_dag.pth",
        page="https://www.robots.ox.ac.uk/~albanie/pytorch-models.html",
        format="state_dict",
        licence="non-commercial research (Creative Commons BY-NC)",
        trained_on="VGGFace: 2.6 million web photographs of 2,622 people, for identity",
        prepare=(224, "rgb", (129.1863 / 255, 104.7624 / 255, 93.5940 / 255), (1 / 255,) * 3),
        network="VGG16 (VGG-Face)",
        architecture="encoder:vggface",
        megabytes=580,
        note="Keys are conv1_1 to conv5_3, fc6 to fc8. The encoder vggface runs it at 96 pixels, as CIAO does. Users "
        "report that the address is sometimes closed; pass a copy of the same file with --file.",
    ),
    Entry(
        name="hsemotion-b0",
        file="state_vggface2_enet0_new.pt",
        url="https://raw.githubusercontent.com/av-savchenko/face-emotion-recognition/"
        "207ed4981625d1f643e25b4a3014e2eed20a0b46/models/pretrained_faces/state_vggface2_enet0_new.pt",
        page="https://github.com/av-savchenko/face-emotion-recognition",
        format="state_dict",
        licence="repository Apache-2.0; the training data is non-commercial",
        trained_on="VGGFace2: 3.3 million web photographs of 9,131 people, for identity; not AffectNet",
        prepare=_IMAGENET,
        network="EfficientNet-B0 (HSEmotion's face identification)",
        architecture="timm:tf_efficientnet_b0",
        megabytes=16,
        git_blob="496a7036adeb300a6371d99bcccb28404f2f52d5",
        note="The classifier was removed: build the network with num_classes=0.",
    ),
    _FACENET_VGGFACE2,
    replace(
        _FACENET_VGGFACE2,
        name="facenet-casia",
        file="20180408-102900-casia-webface.pt",
        url="https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/20180408-102900-casia-webface.pt",
        trained_on="CASIA-WebFace: web photographs of 10,575 people, for identity",
        sha256=None,
        megabytes=111,
    ),
    Entry(
        name="msceleb-resnet18",
        file="resnet18_msceleb.pth",
        url=None,
        page="https://drive.google.com/file/d/1EEx7qVCums-TM5fiblepgY70MDqIxbVz/view",
        format="state_dict",
        licence="none stated; the training data was withdrawn by its publisher",
        trained_on="MS-Celeb-1M: web photographs of celebrities, for identity",
        prepare=_IMAGENET,
        network="ResNet-18",
        architecture="torchvision:resnet18",
        key="state_dict",
        note="On Google Drive, which serves it to browsers only; the address is the one that the authors of Relative "
        "Uncertainty Learning gave (their issue 11); such addresses change. The usual initialisation in FER papers.",
    ),
    _CLIP_B32,
    replace(
        _CLIP_B32,
        name="clip-vit-b16",
        url="https://huggingface.co/timm/vit_base_patch16_clip_224.openai/resolve/"
        "977e3dd0ec55ab8da155f2fbeb6b5f54948b6e3d/open_clip_model.safetensors",
        page="https://huggingface.co/timm/vit_base_patch16_clip_224.openai",
        network="CLIP ViT-B/16",
        architecture="timm:vit_base_patch16_clip_quickgelu_224",
        sha256="4b8699299b1e8997753c64b052ba32031449d5d853f55a039148560ee02b820f",
        megabytes=600,
    ),
    _FARL_B16,
    replace(
        _FARL_B16,
        name="farl-b16-ep64",
        file="FaRL-Base-Patch16-LAIONFace20M-ep64.pth",
        url="https://github.com/FacePerceiver/FaRL/releases/download/pretrained_weights/"
        "FaRL-Base-Patch16-LAIONFace20M-ep64.pth",
        trained_on="LAION-Face, 20 million face-text pairs from the web, 64 epochs (better on most tasks)",
        megabytes=650,
    ),
    Entry(
        name="facechannel",
        file="trainedNetworks.tar.xz",
        url="https://raw.githubusercontent.com/pablovin/FaceChannel/ec81e508bbc9e95276740202c26d0cbb5a7a20d3/"
        "src/FaceChannel/FaceChannelV1/trainedNetworks.tar.xz",
        page="https://github.com/pablovin/FaceChannel",
        format="h5 in tar.xz",
        licence="contradictory: LGPL-3 file; README: research only, no redistribution",
        trained_on="FER+, and for its dimensional network AffectNet: the faces of both tasks",
        prepare=(64, "gray", (0.0,), (1.0,)),
        network="FaceChannel V1",
        architecture="encoder:facechannel",
        git_blob="226f5e5e7355a193e2682e7d26a83f72020bb78b",
        note="Two Keras networks, CategoricalFaceChannel.h5 and DimensionalFaceChannel.h5, in an archive. "
        "It is fetched and checked, but this package does not read h5.",
    ),
)


def names() -> list[str]:
    """Return the names that :func:`entry` takes."""
    return [one.name for one in ENTRIES]


def entry(name: str) -> Entry:
    """Return the entry of that name.

    Raises:
        UnknownNameError: There is no such entry; the message suggests similar names.
    """
    for one in ENTRIES:
        if one.name == name:
            return one
    raise UnknownNameError("weights", name, names())
