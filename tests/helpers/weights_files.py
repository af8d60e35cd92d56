"""A small file of weights, its entry in the manifest, and a server from which it is fetched."""

import hashlib
import io

import torch

from ciao_stream.encoders.weights import manifest
from ciao_stream.encoders.weights.fetch import fetch
from ciao_stream.runtime.progress import SILENT
from tests.helpers.http_server import serving

BODY = bytes(range(256)) * 12_000  # 3 MB: three blocks
SHA256 = hashlib.sha256(BODY).hexdigest()
TENSORS = {"conv.weight": torch.arange(6.0).view(2, 3), "conv.bias": torch.ones(2)}


def entry(url="http://127.0.0.1:9/weights.bin", **changes):
    """Return an entry, by default of a file whose hash is known."""
    about = {
        "name": "tiny", "file": "weights.bin", "url": url, "page": "https://example.org/tiny", "format": "state_dict",
        "licence": "CC0", "trained_on": "nobody", "prepare": (8, "gray", (0.0,), (1.0,)), "network": "Tiny",
        "architecture": None, "sha256": SHA256,
    }  # fmt: skip
    return manifest.Entry(**{**about, **changes})


def fetched(site, folder, progress=SILENT, **changes):
    """Serve a site while its entry is fetched from it."""
    with serving(site) as url:
        return fetch(entry(url, **changes), folder, progress=progress)


def left(folder):
    """Return the names of the files in the folder of the weights."""
    return sorted(path.name for path in (folder / "tiny").glob("*"))


def saved(tensors, **options):
    """Return the bytes of a saved state dict."""
    file = io.BytesIO()
    torch.save(tensors, file, **options)
    return file.getvalue()
