"""The worlds over one encoder, by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from torch import Tensor

from ciao_stream.encoders.base import Encoder
from ciao_stream.exceptions import UnknownNameError, WorldError
from ciao_stream.faces.task import TaskSpec
from ciao_stream.runtime.expect import expect, expect_tensor
from ciao_stream.worlds.settings import Settings
from ciao_stream.worlds.world import Scheme, World


class Worlds(Mapping[str, World]):
    """The worlds over one encoder, by the name of their task and in the order in which they were added.

    One of them is active. Nothing here writes to the encoder.

    Args:
        encoder: The shared frozen encoder.

    Raises:
        CiaoError: It is not an encoder.
    """

    def __init__(self, encoder: Encoder) -> None:
        expect("encoder", encoder, Encoder)
        self.encoder = encoder
        self._z_shape = encoder.shapes()[0]
        self._worlds: dict[str, World] = {}
        self._active: str | None = None

    def __getitem__(self, name: str) -> World:
        """Return a world by name.

        Raises:
            UnknownNameError: There is no such world. It is a KeyError, too.
        """
        if name not in self._worlds:
            raise UnknownNameError("world", name, self._worlds)
        return self._worlds[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._worlds)

    def __len__(self) -> int:
        return len(self._worlds)

    def add(
        self,
        spec: TaskSpec,
        scheme: Scheme = "dl",
        *,
        masked: bool = True,
        settings: Settings | None = None,
        seed: int = 0,
    ) -> World:
        """Make a new world for a task; the first one becomes active.

        Args:
            spec: The task.
            scheme: One of :func:`ciao_stream.worlds.world.scheme_names`.
            masked: Whether the feature map passes through a mask.
            settings: Adapter, mask, head and training settings; the preset ``default`` if omitted.
            seed: Seeds the initial weights of the head and of the adapter.

        Raises:
            WorldError: A world of that name exists already.
            UnknownNameError: The scheme does not exist.
            CiaoError: An argument has another type.
        """
        return self.put(World(spec, self.encoder, scheme, masked, Settings() if settings is None else settings, seed))

    def put(self, world: World) -> World:
        """Add an existing world under its task's name; the first one becomes active.

        Raises:
            WorldError: A world of that name exists already, or this one was made for another encoder.
        """
        expect("world", world, World)
        name = world.spec.name
        if name in self:
            raise WorldError(f"world {name!r} exists already: delete it first, or choose another name")
        if world.shared is not self.encoder:
            raise WorldError(f"world {name!r} was made for another encoder object: load it over this one")
        self._worlds[name] = world
        self._active = self._active or name
        return world

    def load(self, folder: Path | str) -> World:
        """Read one world from its folder and add it.

        Raises:
            WorldError: It is damaged, was made for another encoder, or is here already.
        """
        return self.put(World.load(folder, self.encoder))

    def save(self, folder: Path | str) -> None:
        """Write every world to a folder of its name below ``folder``."""
        expect("folder", folder, str, Path)
        for name, world in self.items():
            world.save(Path(folder) / name)

    def delete(self, name: str) -> None:
        """Drop a world; if it was the active one, none is active.

        Raises:
            UnknownNameError: There is no such world.
        """
        del self._worlds[self[name].spec.name]
        if self._active == name:
            self._active = None

    def activate(self, name: str) -> World:
        """Make a world the active one and return it.

        Raises:
            UnknownNameError: There is no such world.
        """
        world = self[name]
        self._active = name
        return world

    @property
    def active(self) -> World:
        """The active world.

        Raises:
            WorldError: No world is active.
        """
        if self._active is None:
            raise WorldError("no world is active: call add() or activate()")
        return self._worlds[self._active]

    def predict(self, pixels: Tensor, *names: str) -> dict[str, Tensor]:
        """Predict one batch of faces in several worlds; the trunk runs once.

        Args:
            pixels: uint8 (B, channels, size, size), prepared by the encoder's own preprocessing.
            names: Worlds that predict; all of them by default.

        Returns:
            The outputs of each world in evaluation mode, float32 (B, n_out), by name.

        Raises:
            UnknownNameError: There is no such world.
            CiaoError: The pixels have another dtype or shape.
        """
        return self.predict_encoded(pixels, self.encoder.stored_z(pixels), *names)

    def predict_encoded(self, pixels: Tensor, z: Tensor, *names: str) -> dict[str, Tensor]:
        """Predict as :meth:`predict` does, from the trunk's output.

        Args:
            pixels: uint8 (B, channels, size, size).
            z: Output of the encoder's ``stored_z`` for these pixels, float16 (B, ...).
            names: Worlds that predict; all of them by default.
        """
        expect_tensor("z", z, (None, *self._z_shape), "float")
        worlds = {name: self[name] for name in names or self}
        inputs = {"pixels": pixels, "z": z.float()}
        if any(world.level == "u" for world in worlds.values()):
            inputs["u"] = self.encoder.stored_u(z).float()
        return {name: world.predict(inputs[world.level]) for name, world in worlds.items()}
