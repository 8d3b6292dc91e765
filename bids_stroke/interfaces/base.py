"""What the interfaces share: specifications from fields, and one method that does the work."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    SimpleInterface,
    TraitedSpec,
    traits,
)
from nipype.interfaces.base.support import Bunch

from bids_stroke.settings import ORIENTATIONS
from bids_stroke.spatial import image

__all__ = [
    "SUPPLIED_MASK_FIELDS",
    "File",
    "ImageInterface",
    "Outputs",
    "existing",
    "image_file",
    "inputs",
    "orientation_field",
    "outputs",
    "traits",
]

#: Files, or numbers by their names, by the name of the output.
Outputs: TypeAlias = dict[str, Path | list[Path] | dict[str, float]]


def existing(desc: str | None = None, mandatory: bool = True, **metadata: object) -> File:
    """Make the field of a file that exists."""
    return File(exists=True, mandatory=mandatory, desc=desc, **metadata)


def image_file(desc: str, mandatory: bool = True) -> File:
    """Make the field of an image, which an :class:`ImageInterface` loads."""
    return existing(desc, mandatory, loaded=True)


def orientation_field() -> traits.TraitType:
    """Make the field of the orientation that is assumed of files whose headers state none."""
    return traits.Enum(None, *ORIENTATIONS, usedefault=True, desc="of files that state none")


#: Input fields of the interfaces that import a user-supplied mask.
SUPPLIED_MASK_FIELDS = {
    "in_file": image_file("image in RAS order"),
    "source": existing("raw image, for messages"),
    "mask_file": existing("user-supplied mask"),
    "orientation": orientation_field(),
}


def inputs(**fields: traits.TraitType) -> type[BaseInterfaceInputSpec]:
    """Make the ``input_spec`` of an interface."""
    return type("input_spec", (BaseInterfaceInputSpec,), fields)


def outputs(**fields: traits.TraitType) -> type[TraitedSpec]:
    """Make the ``output_spec`` of an interface."""
    return type("output_spec", (TraitedSpec,), fields)


class ImageInterface(SimpleInterface):
    """Base of the interfaces: loads the images among the inputs and calls :meth:`_run_on`.

    ``_run_on(folder, **images)`` gets the node's folder and the image of each field of
    :func:`image_file` that is defined; the other inputs are in ``self.inputs``. It writes files to the
    folder and returns their paths.
    """

    _run_on: Callable[..., Outputs]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for spec in (cls.input_spec, cls.output_spec):  # pickle finds a class by these names
            spec.__module__, spec.__qualname__ = cls.__module__, f"{cls.__qualname__}.{spec.__name__}"

    def _run_interface(self, runtime: Bunch) -> Bunch:
        paths = self.inputs.get_traitsfree(loaded=True)
        images = {name: image.load(path) for name, path in paths.items()}
        self._results |= self._run_on(Path(runtime.cwd), **images)
        return runtime
