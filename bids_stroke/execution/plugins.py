"""Nipype plugin files."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bids_stroke.errors import UsageError
from bids_stroke.utils import safe_yaml

if TYPE_CHECKING:
    from bids_stroke.pipelines.base import LesionWorkflow  # imports Nipype


def read_plugin(path: Path | None) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Read the file of a Nipype plugin.

    Returns
    -------
    tuple of (str, dict, dict)
        Name of the plugin, its arguments, and the arguments of the steps that use a GPU.

    Raises
    ------
    UsageError
        If the file is not valid, or the plugin does not exist.
    """
    if path is None:
        return "Linear", {}, {}
    try:
        content = safe_yaml.read(path)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"{path} cannot be read as YAML ({reason}); fix the file.") from None
    arguments = {"plugin_args", "gpu_plugin_args"}
    if not {"plugin"} <= set(content) <= {"plugin", *arguments}:
        raise UsageError(
            f"{path} must contain plugin, and may contain plugin_args and gpu_plugin_args; fix its "
            "keys."
        )
    name = content["plugin"]
    values, gpu_values = (content.get(key) or {} for key in ("plugin_args", "gpu_plugin_args"))
    if not (isinstance(values, dict) and isinstance(gpu_values, dict)):
        raise UsageError(
            f"{path} must have key: value pairs below {' and '.join(sorted(arguments))}; fix the file."
        )
    os.environ.setdefault("NO_ET", "1")  # otherwise Nipype checks for a newer version
    from nipype.pipeline import plugins

    if not hasattr(plugins, f"{name}Plugin"):
        raise UsageError(f"{path} names the unknown Nipype plugin {name}; check its spelling.")
    return name, values, gpu_values


def assign_plugin_arguments(workflow: "LesionWorkflow", gpu_arguments: dict[str, Any]) -> None:
    """Set how the plugin runs each step: sinks run without a job, networks may use a GPU."""
    for node in map(workflow.get_node, workflow.list_node_names()):
        node.run_without_submitting = node.name.startswith("ds_")
        if hasattr(node.inputs, "use_gpu") and node.inputs.device != "cpu":
            node.plugin_args = gpu_arguments
