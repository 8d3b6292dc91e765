"""Base class and input and output specifications of the Nipype interfaces."""

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

#: Outputs of an interface by name: a file, a list of files, or numbers by name.
Outputs: TypeAlias = dict[str, Path | list[Path] | dict[str, float]]


def existing(desc: str | None = None, mandatory: bool = True, **metadata: object) -> File:
    """Create a field for an existing file."""
    return File(exists=True, mandatory=mandatory, desc=desc, **metadata)


def image_file(desc: str, mandatory: bool = True) -> File:
    """Create a field for an image, which an :class:`ImageInterface` loads."""
    return existing(desc, mandatory, loaded=True)


def orientation_field() -> traits.TraitType:
    """Create a field for the orientation that is assumed if a header does not define one."""
    return traits.Enum(
        None,
        *ORIENTATIONS,
        usedefault=True,
        desc="assumed orientation of files whose headers define none",
    )


#: Input fields of the interfaces that import a user-supplied mask.
SUPPLIED_MASK_FIELDS = {
    "in_file": image_file("image in RAS order"),
    "source": existing("raw image, named in error messages"),
    "mask_file": existing("user-supplied mask"),
    "orientation": orientation_field(),
}


def inputs(**fields: traits.TraitType) -> type[BaseInterfaceInputSpec]:
    """Create the ``input_spec`` of an interface."""
    return type("input_spec", (BaseInterfaceInputSpec,), fields)


def outputs(**fields: traits.TraitType) -> type[TraitedSpec]:
    """Create the ``output_spec`` of an interface."""
    return type("output_spec", (TraitedSpec,), fields)


class ImageInterface(SimpleInterface):
    """Base class of the interfaces. It loads the input images and calls :meth:`_run_on`.

    ``_run_on(folder, **images)`` receives the node's folder and the image of each defined field that
    :func:`image_file` created. The other inputs are in ``self.inputs``. The method writes files to
    the folder and returns their paths.
    """

    _run_on: Callable[..., Outputs]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for spec in (cls.input_spec, cls.output_spec):  # pickle looks up a class by these names
            spec.__module__, spec.__qualname__ = cls.__module__, f"{cls.__qualname__}.{spec.__name__}"

    def _run_interface(self, runtime: Bunch) -> Bunch:
        paths = self.inputs.get_traitsfree(loaded=True)
        images = {name: image.load(path) for name, path in paths.items()}
        self._results |= self._run_on(Path(runtime.cwd), **images)
        return runtime
